//! Which node of a cluster serves which key, so that commands for keys of one node can travel together.

use redis::Value;
use std::ops::RangeInclusive;

/// Where a key is served; commands for keys of equal homes fit into one pipeline. It may be out of date: slots move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home(pub(super) Option<Node>);

/// A node of a cluster, as the cluster announces it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) host: String,
    pub(super) port: u16,
}

/// The homes of `keys` by an answer to `CLUSTER SLOTS`; `None` if a key's slot is not served, or its node has no address.
pub(super) fn homes(slots: &Value, keys: &[String]) -> Option<Vec<Home>> {
    let served: Vec<_> = sequence(slots)?.iter().filter_map(served).collect();
    let home = |key: &String| {
        let slot = slot(key);
        served.iter().find(|(slots, _)| slots.contains(&slot)).map(|(_, node)| Home(Some(node.clone())))
    };
    keys.iter().map(home).collect()
}

/// `[first slot, last slot, [host, port, id, …] of the master, its replicas…]`.
fn served(entry: &Value) -> Option<(RangeInclusive<u16>, Node)> {
    let [first, last, master, ..] = sequence(entry)? else { return None };
    let [host, port, ..] = sequence(master)? else { return None };
    let host = text(host).filter(|host| !host.is_empty() && *host != "?")?;
    Some((number(first)?..=number(last)?, Node { host: host.to_owned(), port: number(port)? }))
}

/// The slot of a key: of what stands between its first `{` and the next `}`, if anything does, else of the whole key.
/// Source: the Redis Cluster specification, "Hash tags".
fn slot(key: &str) -> u16 {
    let tag = key.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(|(tag, _)| tag);
    let hashed = tag.filter(|tag| !tag.is_empty()).unwrap_or(key);
    crc16::State::<crc16::XMODEM>::calculate(hashed.as_bytes()) % 16_384
}

fn sequence(value: &Value) -> Option<&[Value]> {
    if let Value::Array(values) = value { Some(values) } else { None }
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

fn number(value: &Value) -> Option<u16> {
    if let Value::Int(number) = value { u16::try_from(*number).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(host: &str, port: i64) -> Value {
        Value::Array(vec![Value::BulkString(host.as_bytes().to_vec()), Value::Int(port)])
    }

    fn entry(first: i64, last: i64, master: Value) -> Value {
        Value::Array(vec![Value::Int(first), Value::Int(last), master, node("replica", 1)])
    }

    #[test]
    fn slots_are_those_of_the_specification() {
        // 12739 is the specification's own example, of "123456789".
        for (key, want) in
            [("123456789", 12_739), ("{123456789}:7", 12_739), ("a{}b", slot("a{}b")), ("{names:0}:9", slot("names:0"))]
        {
            assert_eq!(slot(key), want, "{key}");
        }
    }

    #[test]
    fn finds_the_master_of_each_key() {
        let slots = Value::Array(vec![entry(0, 8191, node("127.0.0.1", 7001)), entry(8192, 16_383, node("::1", 7002))]);
        let home = |host: &str, port| Home(Some(Node { host: host.to_owned(), port }));
        let keys = ["123456789".to_owned(), "foo{123456789}".to_owned()];
        assert_eq!(homes(&slots, &keys), Some(vec![home("::1", 7002), home("::1", 7002)]));
        assert_eq!(homes(&slots, &[]), Some(Vec::new()));
    }

    #[test]
    fn knows_nothing_where_the_cluster_does_not_say() {
        let keys = ["123456789".to_owned()];
        for slots in [
            Value::Nil,
            Value::Array(Vec::new()),
            Value::Array(vec![entry(0, 100, node("127.0.0.1", 7001))]),
            Value::Array(vec![entry(0, 16_383, node("", 7001))]),
            Value::Array(vec![entry(0, 16_383, node("127.0.0.1", 70_000))]),
        ] {
            assert_eq!(homes(&slots, &keys), None, "{slots:?}");
        }
    }
}
