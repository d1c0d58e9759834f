//! Numbers of replicas stay within what the file allows.

use crate::plan::Plan;
use plimsoll_model::{Amount, rollout::Strategy};

/// The bounds of each service.
#[derive(Debug)]
pub(super) struct Bounds(Vec<Own>);

#[derive(Debug)]
struct Own {
    name: String,
    /// From the file; `None` when schedules move them.
    scaling: Option<(u32, u32)>,
}

impl Bounds {
    pub(super) fn new(plan: &Plan) -> Self {
        let own = |station: &crate::plan::StationPlan| {
            let scaling = station.service.as_ref().and_then(|service| service.autoscaling.as_ref());
            let fixed = scaling.filter(|own| own.schedules.is_empty());
            let scaling = fixed.map(|own| (own.min_replicas, own.max_replicas));
            Own { name: station.name.clone(), scaling }
        };
        Self(plan.stations.iter().map(own).collect())
    }

    /// An autoscaler asks for so many.
    pub(super) fn scaled(&self, station: usize, replicas: u32, in_force: (u32, u32)) -> Result<(), String> {
        let Own { name, scaling } = &self.0[station];
        let (min, max) = scaling.unwrap_or(in_force);
        if (min..=max).contains(&replicas) {
            return Ok(());
        }
        Err(format!("bounds: {name} is scaled to {replicas}, outside {min} to {max}"))
    }

    /// All versions together: not more than wanted and the surge of the strategy.
    pub(super) fn sets(&self, station: usize, total: u32, (wanted, how): (u32, &Strategy)) -> Result<(), String> {
        let most = match how {
            _ if wanted == 0 => u32::MAX,
            Strategy::Recreate => wanted,
            Strategy::Rolling { max_surge, .. } => wanted.saturating_add(surge(*max_surge, wanted)),
            // Both sets stand side by side.
            Strategy::BlueGreen { .. } | Strategy::Canary { .. } => wanted.saturating_mul(2),
        };
        if total <= most {
            return Ok(());
        }
        Err(format!(
            "bounds: {total} replicas of {} are to run, {wanted} being wanted and {most} allowed",
            self.0[station].name
        ))
    }
}

fn surge(amount: Amount, wanted: u32) -> u32 {
    match amount {
        Amount::Count(count) => count,
        Amount::Share(share) => u32::try_from((u64::from(wanted) * share.0).div_ceil(1_000_000)).unwrap_or(u32::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plimsoll_model::Ratio;

    fn bounds() -> Bounds {
        Bounds(vec![Own { name: "web".into(), scaling: Some((2, 5)) }])
    }

    #[test]
    fn a_number_outside_is_found() {
        assert!(bounds().scaled(0, 5, (0, 9)).is_ok());
        assert!(bounds().scaled(0, 6, (0, 9)).is_err());
        assert!(bounds().scaled(0, 1, (0, 9)).is_err());
    }

    #[test]
    fn too_many_beside_each_other_are_found() {
        let quarter = Amount::Share(Ratio::percent(25));
        let rolling = Strategy::Rolling { max_surge: quarter, max_unavailable: quarter };
        assert!(bounds().sets(0, 7, (5, &rolling)).is_ok());
        assert!(bounds().sets(0, 8, (5, &rolling)).is_err());
        assert!(bounds().sets(0, 6, (5, &Strategy::Recreate)).is_err());
    }
}
