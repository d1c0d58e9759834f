//! The paths of the API.

/// `GET`: the accepted [`crate::Offer`]. `PUT` of an [`crate::Offer`]: accept it; answered by [`crate::Accepted`].
pub const SYSTEM: &str = "/v1/system";
/// `GET`: [`crate::Status`].
pub const STATUS: &str = "/v1/status";
/// `GET`: [`crate::Status`], answered once the system is ready or can't get so by itself.
pub const ARRIVAL: &str = "/v1/arrival";
/// `GET ?after=N&limit=N&last=N&follow=true`: [`crate::Event`]s as JSON lines, also those of former engines that the journal
/// still has; at most `limit` of them (then ask again after the last one), or only the `last` ones. With `follow` and no
/// `limit` the answer goes on as they happen.
pub const EVENTS: &str = "/v1/events";
/// `GET ?kind=service&name=NAME`: why, as a [`crate::Explanation`]. `kind` is `last`, `event`, `service`, `replica`, `store`.
pub const EXPLAIN: &str = "/v1/explain";
/// `POST` of a text: a file was refused with these findings, before it was offered.
pub const REFUSED: &str = "/v1/refused";
/// `GET ?service=NAME&tail=N&follow=true`: log lines as text, each with its replica.
pub const LOGS: &str = "/v1/logs";
/// `POST ?service=NAME`: replaces each replica, one after the other.
pub const RESTART: &str = "/v1/restart";
/// `POST ?service=NAME&replicas=N`: so many replicas until the file says otherwise, or for a time where an autoscaler owns
/// the number; answered by a sentence about that.
pub const SCALE: &str = "/v1/scale";
/// `POST ?store=NAME&member=NAME-N`: another member becomes the primary of a store with standbys, by default the one with the
/// most log; answered by a sentence.
pub const SWITCHOVER: &str = "/v1/switchover";
/// `GET`: [`crate::release::Ledger`].
pub const RELEASES: &str = "/v1/releases";
/// `POST` of a [`crate::release::Order`]; answered by a sentence about what happened.
pub const RELEASE: &str = "/v1/release";
/// `POST ?promise=NAME`: runs the audit that a promise of invariants names, once; answered by [`crate::audit::Audited`] when
/// it has ended.
pub const AUDIT: &str = "/v1/audit";
/// `POST ?replica=NAME-N&signal=9`: sends a signal to a replica.
pub const SIGNAL: &str = "/v1/signal";
/// `POST ?volumes=true`: ends the system; with `volumes` its stores' data is dropped too.
pub const DOWN: &str = "/v1/down";
/// `POST ?program=PATH` (percent-encoded): has that program take the place of the one that runs; answered by the number of
/// the upgrade, whose course [`crate::Status`] tells.
pub const UPGRADE: &str = "/v1/upgrade";
/// `GET`: figures for Prometheus.
pub const METRICS: &str = "/metrics";
