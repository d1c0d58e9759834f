//! `plimsoll status --sizes`: what a replica should request, beside what it requests.

use crate::table::{row, table};
use plimsoll_api::{
    Status,
    status::{ServiceStatus, SizeStatus},
};
use plimsoll_model::{Bytes, MilliCpu};

/// The page.
pub(crate) fn text(status: &Status) -> String {
    let mut rows = vec![row(["SERVICE", "RESOURCE", "REQUESTED", "RECOMMENDED", "BOUNDS", "SAVING", "BASIS"])];
    for (name, service) in &status.services {
        let Some(sizes) = &service.sizes else {
            rows.push(row([name, "", "", "", "", "", "nothing measured yet: replicas are looked at once a minute"]));
            continue;
        };
        let basis = format!("{} samples over {}", sizes.samples, sizes.span);
        if let Some(cpu) = &sizes.cpu {
            rows.push(line((name, "cpu"), service, cpu, (&|milli| MilliCpu(milli).to_string(), &basis)));
        }
        if let Some(memory) = &sizes.memory {
            rows.push(line((name, "memory"), service, memory, (&mebibytes, &basis)));
        }
    }
    table(&rows)
}

fn line(
    (name, resource): (&str, &str),
    service: &ServiceStatus,
    size: &SizeStatus,
    (amount, basis): (&dyn Fn(u64) -> String, &str),
) -> Vec<String> {
    let requested = size.requested.map_or_else(|| "nothing".to_owned(), amount);
    // Beyond a thousand times the target the upper bound says nothing: there is too little history.
    let upper = if size.upper / 1000 > size.target { "any".to_owned() } else { amount(size.upper) };
    let bounds = format!("{} to {upper}", amount(size.lower));
    let replicas = u64::from(service.wanted);
    let saving = match size.requested {
        None => String::new(),
        Some(requested) if requested >= size.target => match (requested - size.target) * replicas {
            0 => "none".to_owned(),
            saved => format!("{} in {replicas}", amount(saved)),
        },
        Some(requested) => format!("lacks {} in {replicas}", amount((size.target - requested) * replicas)),
    };
    row([name, resource, &requested, &amount(size.target), &bounds, &saving, basis])
}

/// In whole mebibytes, rounded up.
fn mebibytes(bytes: u64) -> String {
    Bytes(bytes.div_ceil(1 << 20) << 20).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use plimsoll_api::status::SizesStatus;
    use plimsoll_model::Millis;

    #[test]
    fn a_saving_counts_all_replicas_and_a_lack_is_told() {
        let size = |requested, target| SizeStatus { requested, lower: target / 2, target, upper: target * 2 };
        let sizes = SizesStatus {
            cpu: Some(size(Some(500), 200)),
            memory: Some(size(Some(100 << 20), 150 << 20)),
            samples: 10,
            span: Millis::from_secs(600),
        };
        let mut status = Status::default();
        status.services.insert("web".into(), ServiceStatus { wanted: 3, sizes: Some(sizes), ..Default::default() });
        let text = text(&status);
        assert!(text.contains("500m") && text.contains("200m") && text.contains("900m in 3"), "{text}");
        assert!(text.contains("lacks 150Mi in 3") && text.contains("10 samples over 10m"), "{text}");
    }
}
