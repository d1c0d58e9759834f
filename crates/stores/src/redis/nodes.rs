//! What `CLUSTER NODES` says.

use plimsoll_control::cluster::{Known, SLOTS, SlotRange};

/// The nodes in the answer; lines that are not understood are left out.
pub(crate) fn parse(text: &str) -> Vec<Known> {
    text.lines().filter_map(node).collect()
}

/// `<id> <ip:port@bus[,hostname]> <flags> <master> <ping> <pong> <epoch> <link> <slot> …`
fn node(line: &str) -> Option<Known> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [id, address, flags, of, _, _, epoch, link, slots @ ..] = words.as_slice() else { return None };
    let has = |flag: &str| flags.split(',').any(|one| one == flag);
    let port = address.split('@').next()?.rsplit(':').next()?.parse().unwrap_or(0);
    Some(Known {
        id: (*id).to_owned(),
        port: if has("noaddr") { 0 } else { port },
        myself: has("myself"),
        master: has("master"),
        of: (*of != "-").then(|| (*of).to_owned()),
        handshake: has("handshake"),
        failing: has("fail?") || has("fail"),
        failed: has("fail"),
        connected: has("myself") || *link == "connected",
        epoch: epoch.parse().ok()?,
        slots: slots.iter().filter_map(|slot| range(slot)).collect(),
    })
}

/// `5`, `0-5460`; slots on their way (`[5->-…]`) are still where they were.
fn range(text: &str) -> Option<SlotRange> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let range = SlotRange { first: first.parse().ok()?, last: last.parse().ok()? };
    (range.first <= range.last && range.last < SLOTS).then_some(range)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_real_answer_is_understood() {
        let text = "\
            07c3 127.0.0.1:30004@40004,host slave e7d1 0 1426238317239 4 connected\n\
            67ed 127.0.0.1:30002@40002 master,fail? - 0 1426238316232 2 disconnected 5461-10922 [5-<-e7d1]\n\
            e7d1 127.0.0.1:30001@40001 myself,master - 0 0 1 connected 0-5459 5460\n\
            aaaa :0@0 master,noaddr,fail - 1 1 0 disconnected\n\
            nonsense\n";
        let nodes = parse(text);
        assert_eq!(nodes.len(), 4);
        assert_eq!((nodes[0].port, nodes[0].of.as_deref(), nodes[0].master), (30004, Some("e7d1"), false));
        assert_eq!(nodes[1].slots, [SlotRange { first: 5461, last: 10922 }]);
        assert!(nodes[1].failing && !nodes[1].failed && !nodes[1].connected);
        assert_eq!(nodes[2].slots, [SlotRange { first: 0, last: 5459 }, SlotRange { first: 5460, last: 5460 }]);
        assert!(nodes[2].myself && nodes[2].connected && nodes[2].epoch == 1);
        assert!(nodes[3].failed && nodes[3].port == 0);
    }
}
