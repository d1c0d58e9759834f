//! Arrival processes, checked as sequences.

use super::*;

const WHOLE: Share = Share { index: 0, workers: 1 };

fn all(arrivals: &Arrivals, warm_up: Duration, duration: Duration, share: Share) -> Vec<Arrival> {
    let mut schedule = Schedule::new(arrivals, warm_up, duration, share);
    std::iter::from_fn(|| schedule.pop()).collect()
}

fn secs(s: u64) -> Duration {
    Duration::from_secs(s)
}

#[test]
fn constant_is_evenly_spaced() {
    let got = all(&Arrivals::Constant { rate_per_s: 100.0 }, Duration::ZERO, secs(2), WHOLE);
    assert_eq!(got.len(), 200);
    assert_eq!(got[0], Arrival { number: 0, at: Duration::ZERO });
    assert_eq!(got[150].at, Duration::from_millis(1500));
}

#[test]
fn ramp_has_the_area_of_its_trapezium() {
    let ramp = Arrivals::Ramp { from_per_s: 10.0, to_per_s: 30.0, over: secs(10) };
    let got = all(&ramp, Duration::ZERO, secs(15), WHOLE);
    assert_eq!(got.len(), 200 + 150);
    assert!(got.windows(2).all(|pair| pair[0].at < pair[1].at));
    let first_half = got.iter().filter(|arrival| arrival.at < secs(5)).count();
    assert_eq!(first_half, 75, "10 to 20 a second over 5 s");
}

#[test]
fn ramp_can_fall_to_nothing() {
    let ramp = Arrivals::Ramp { from_per_s: 20.0, to_per_s: 0.0, over: secs(10) };
    let got = all(&ramp, Duration::ZERO, secs(20), WHOLE);
    assert_eq!(got.len(), 100);
}

#[test]
fn ramp_warms_up_at_its_first_rate() {
    let ramp = Arrivals::Ramp { from_per_s: 10.0, to_per_s: 30.0, over: secs(10) };
    let got = all(&ramp, secs(2), secs(10), WHOLE);
    assert_eq!(got.iter().filter(|arrival| arrival.at < secs(2)).count(), 20);
    assert_eq!(got.len(), 20 + 200);
}

#[test]
fn poisson_has_its_rate_and_its_spread() {
    let poisson = Arrivals::Poisson { rate_per_s: 1000.0, seed: 5 };
    let got = all(&poisson, Duration::ZERO, secs(10), WHOLE);
    assert!((9_700..10_300).contains(&got.len()), "{}", got.len());
    let short = got.windows(2).filter(|pair| pair[1].at - pair[0].at < Duration::from_micros(693)).count();
    assert!((4_700..5_300).contains(&short), "half the gaps are below ln 2 / rate: {short}");
    assert_eq!(got, all(&poisson, Duration::ZERO, secs(10), WHOLE), "the same seed gives the same arrivals");
}

#[test]
fn workers_share_without_loss_or_overlap() {
    let processes = [
        Arrivals::Constant { rate_per_s: 33.0 },
        Arrivals::Ramp { from_per_s: 5.0, to_per_s: 50.0, over: secs(2) },
        Arrivals::Poisson { rate_per_s: 40.0, seed: 9 },
    ];
    for process in processes {
        let whole = all(&process, secs(1), secs(4), WHOLE);
        let mut parts: Vec<Arrival> =
            (0..3).flat_map(|index| all(&process, secs(1), secs(4), Share { index, workers: 3 })).collect();
        parts.sort_by_key(|arrival| arrival.number);
        assert_eq!(parts, whole, "{process:?}");
    }
}

#[test]
fn closed_users_start_spread_and_come_back_after_thinking() {
    let closed = Arrivals::Closed { users: 4, think: secs(2) };
    let mut schedule = Schedule::new(&closed, Duration::ZERO, secs(10), WHOLE);
    let first: Vec<Duration> = std::iter::from_fn(|| schedule.pop()).map(|arrival| arrival.at).collect();
    assert_eq!(first, [0, 500, 1000, 1500].map(Duration::from_millis));
    assert_eq!(schedule.peek(), None, "all four wait for their answers");
    schedule.returned(secs(3));
    assert_eq!(schedule.pop(), Some(Arrival { number: 4, at: secs(5) }));
    schedule.returned(secs(9));
    assert_eq!(schedule.peek(), None, "its next request would fall after the end");
}

#[test]
fn at_once_is_all_of_them_after_the_warm_up() {
    let got = all(&Arrivals::AtOnce { requests: 5 }, secs(1), Duration::ZERO, Share { index: 1, workers: 2 });
    assert_eq!(got.iter().map(|arrival| arrival.number).collect::<Vec<_>>(), [1, 3]);
    assert!(got.iter().all(|arrival| arrival.at == secs(1)));
}

#[test]
fn stops_when_told() {
    let mut schedule = Schedule::new(&Arrivals::Constant { rate_per_s: 1.0 }, Duration::ZERO, secs(10), WHOLE);
    assert!(schedule.pop().is_some());
    schedule.stop();
    assert_eq!(schedule.pop(), None);
}
