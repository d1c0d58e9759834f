//! No request is lost and none is answered twice.

/// Counts of clients' requests.
#[derive(Debug, Default)]
pub(super) struct Conservation {
    pub(super) asked: u64,
    pub(super) answered: u64,
}

impl Conservation {
    /// Asked = answered + still open.
    pub(super) fn end(&self, open: u64) -> Result<(), String> {
        let Self { asked, answered } = self;
        if *asked == answered + open {
            return Ok(());
        }
        Err(format!("conservation: {asked} requests, {answered} answered and {open} open"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_request_is_found() {
        assert!(Conservation { asked: 10, answered: 8 }.end(2).is_ok());
        assert!(Conservation { asked: 10, answered: 8 }.end(1).is_err());
        assert!(Conservation { asked: 10, answered: 11 }.end(0).is_err());
    }
}
