//! A request goes only where it may: to a replica that serves, and never twice to the same one.

/// A request went to a replica; `tried` are all it went to, this one last.
#[inline]
pub(super) fn sent((call, replica): (u32, u32), serves: bool, tried: &[u32]) -> Result<(), String> {
    if !serves {
        return Err(format!("safety: request {call} went to replica {replica}, which does not serve"));
    }
    let before = tried.split_last().map_or(&[][..], |(_, before)| before);
    if before.contains(&replica) {
        return Err(format!("safety: request {call} went to replica {replica} a second time"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_way_is_found() {
        assert!(sent((1, 5), true, &[4, 5]).is_ok());
        assert!(sent((1, 5), false, &[5]).is_err());
        assert!(sent((1, 5), true, &[5, 4, 5]).is_err());
    }
}
