//! Verdicts, kind by kind.

use super::*;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

mod of_latency {
    use super::*;

    #[track_caller]
    fn check(p95_ms: Option<u64>, asked: u64, limited: bool, want: Verdict) -> Judgement {
        let bounds = BTreeMap::from([(950, Millis(100))]);
        let seen = LatencySeen { at: BTreeMap::from([(950, p95_ms.map(ms))]), asked, limited };
        let got = latency(&bounds, &seen);
        assert_eq!(got.verdict, want, "{got:?}");
        assert_eq!(got.why.is_empty(), want == Verdict::Held, "{got:?}");
        got
    }

    #[test]
    fn held_below_the_bound_with_its_margin() {
        let got = check(Some(25), 200, false, Verdict::Held);
        assert_eq!((got.margin.unwrap() * 1000.0).round(), 750.0);
        assert_eq!(got.measured, "p95 25.0 ms");
    }

    #[test]
    fn held_at_the_bound() {
        check(Some(100), 200, false, Verdict::Held);
    }

    #[test]
    fn broken_above_it() {
        let got = check(Some(101), 200, false, Verdict::Broken);
        assert!(got.margin.unwrap() < 0.0);
    }

    #[test]
    fn broken_when_the_percentile_lies_among_failures() {
        assert_eq!(check(None, 200, false, Verdict::Broken).margin, None);
    }

    #[test]
    fn unproven_with_too_few_requests_however_good() {
        check(Some(1), 199, false, Verdict::Unproven);
    }

    #[test]
    fn a_limited_generator_can_hold_but_not_break() {
        check(Some(25), 200, true, Verdict::Held);
        check(Some(101), 200, true, Verdict::Unproven);
    }

    #[test]
    fn all_percentiles_must_hold_and_the_smallest_margin_counts() {
        let bounds = BTreeMap::from([(500, Millis(100)), (950, Millis(100))]);
        let at = BTreeMap::from([(500, Some(ms(10))), (950, Some(ms(120)))]);
        let got = latency(&bounds, &LatencySeen { at, asked: 1000, limited: false });
        assert_eq!(got.verdict, Verdict::Broken);
        assert!(got.why.contains("p95") && !got.why.contains("p50"), "{}", got.why);
    }

    #[test]
    fn no_bound_is_not_held() {
        let none = latency(&BTreeMap::new(), &LatencySeen { at: BTreeMap::new(), asked: 1000, limited: false });
        assert_ne!(none.verdict, Verdict::Held);
    }
}

mod of_throughput {
    use super::*;

    #[track_caller]
    fn check(achieved: f64, offered: f64, limited: bool, want: Verdict) -> Judgement {
        let seen = ThroughputSeen { achieved_per_s: achieved, offered_per_s: offered, highest_per_s: None, limited };
        let got = throughput(200.0, &seen);
        assert_eq!(got.verdict, want, "{got:?}");
        got
    }

    #[test]
    fn held_at_the_rate() {
        check(200.0, 204.0, false, Verdict::Held);
        check(201.0, 204.0, true, Verdict::Held);
    }

    #[test]
    fn broken_below_it() {
        assert_eq!(check(150.0, 204.0, false, Verdict::Broken).margin, Some(-0.25));
    }

    #[test]
    fn unproven_when_less_was_asked() {
        check(100.0, 100.0, false, Verdict::Unproven);
    }

    #[test]
    fn unproven_when_the_generator_was_the_limit() {
        check(150.0, 204.0, true, Verdict::Unproven);
    }

    #[test]
    fn the_margin_is_that_of_the_highest_rate_kept_up() {
        let seen =
            ThroughputSeen { achieved_per_s: 204.0, offered_per_s: 204.0, highest_per_s: Some(400.0), limited: false };
        let got = throughput(200.0, &seen);
        assert_eq!((got.margin, got.measured.as_str()), (Some(1.0), "400/s"));
    }
}

mod of_concurrency {
    use super::*;

    fn seen(failed: u64) -> ConcurrencySeen {
        ConcurrencySeen { asked: 100, failed, slowest: Some(ms(40)), limited: false, meanwhile: None }
    }

    fn other(verdict: Verdict) -> Judgement {
        Judgement { verdict, measured: "p95 1 ms".into(), margin: None, why: "w".into(), todo: "t".into() }
    }

    #[test]
    fn held_when_all_were_in_time() {
        let got = concurrency(ms(100), &seen(0));
        assert_eq!((got.verdict, (got.margin.unwrap() * 1000.0).round()), (Verdict::Held, 600.0));
    }

    #[test]
    fn broken_by_a_single_one() {
        assert_eq!(concurrency(ms(100), &seen(1)).verdict, Verdict::Broken);
        assert_eq!(concurrency(ms(100), &ConcurrencySeen { limited: true, ..seen(1) }).verdict, Verdict::Unproven);
    }

    #[test]
    fn is_no_better_than_what_it_must_not_hurt() {
        for verdict in [Verdict::Held, Verdict::Broken, Verdict::Unproven] {
            let got = concurrency(ms(100), &ConcurrencySeen { meanwhile: Some(other(verdict)), ..seen(0) });
            assert_eq!(got.verdict, verdict);
        }
    }

    #[test]
    fn unproven_when_nothing_was_asked() {
        let none = ConcurrencySeen { asked: 0, slowest: None, ..seen(0) };
        assert_eq!(concurrency(ms(100), &none).verdict, Verdict::Unproven);
    }
}

mod of_availability {
    use super::*;

    #[track_caller]
    fn check(failed: u64, asked: u64, kills: u32, want: Verdict) -> Judgement {
        let got = availability(0.999, &AvailabilitySeen { asked, failed, kills, wanted: 3, limited: false });
        assert_eq!(got.verdict, want, "{got:?}");
        got
    }

    #[test]
    fn held_when_enough_requests_show_it() {
        let got = check(0, 3_000, 3, Verdict::Held);
        assert_eq!((got.margin, got.measured.as_str()), (Some(1.0), "100.000 %"));
        check(1, 5_000, 3, Verdict::Held);
    }

    #[test]
    fn unproven_when_they_are_too_few() {
        let got = check(0, 2_000, 3, Verdict::Unproven);
        assert!(got.why.contains("takes 3000 requests"), "{}", got.why);
        check(1, 3_000, 3, Verdict::Unproven);
        check(0, 0, 3, Verdict::Unproven);
    }

    #[test]
    fn broken_when_more_failed_than_promised() {
        check(4, 3_000, 3, Verdict::Broken);
    }

    #[test]
    fn exactly_the_promised_share_is_not_broken() {
        let tenth = AvailabilitySeen { asked: 3_000, failed: 300, kills: 1, wanted: 1, limited: false };
        assert_eq!(availability(0.9, &tenth).verdict, Verdict::Unproven, "though it's too close to be sure");
    }

    #[test]
    fn unproven_without_all_kills() {
        check(0, 3_000, 0, Verdict::Unproven);
        let got = check(0, 3_000, 2, Verdict::Unproven);
        assert!(got.why.starts_with("2 of 3 kills"), "{}", got.why);
        check(4, 3_000, 2, Verdict::Broken);
    }

    #[test]
    fn nothing_can_show_one_hundred_percent() {
        let whole =
            |failed| availability(1.0, &AvailabilitySeen { asked: 9_999, failed, kills: 1, wanted: 1, limited: false });
        assert_eq!(whole(0).verdict, Verdict::Unproven);
        assert_eq!(whole(1).verdict, Verdict::Broken);
    }
}

mod of_failover {
    use super::*;

    #[track_caller]
    fn check(replaced: &[Option<u64>], want: Verdict) {
        let replaced = replaced.iter().map(|one| one.map(ms)).collect();
        let got = failover(ms(1000), &FailoverSeen { replaced, wanted: 2, waited: ms(30_000) });
        assert_eq!(got.verdict, want, "{got:?}");
    }

    #[test]
    fn the_slowest_counts() {
        check(&[Some(10), Some(1000)], Verdict::Held);
        check(&[Some(10), Some(1001)], Verdict::Broken);
    }

    #[test]
    fn never_is_broken_and_no_kill_is_unproven() {
        check(&[Some(10), None], Verdict::Broken);
        check(&[], Verdict::Unproven);
        check(&[Some(10)], Verdict::Unproven);
        check(&[Some(1001)], Verdict::Broken);
    }
}

mod of_survival {
    use super::*;

    fn seen() -> SurvivalSeen {
        SurvivalSeen {
            asked: 1000,
            changed: Vec::new(),
            back: BTreeMap::from([("engine", Some(ms(20))), ("gateway", Some(ms(30)))]),
            lost_in_flight: 2,
            lost_otherwise: 0,
            limited: false,
        }
    }

    #[test]
    fn held_when_only_requests_in_flight_are_lost() {
        let got = survival(&seen());
        assert_eq!((got.verdict, got.measured.as_str()), (Verdict::Held, "2 of 1000 lost, 2 of them in flight"));
    }

    #[test]
    fn broken_by_any_other_loss() {
        assert_eq!(survival(&SurvivalSeen { lost_otherwise: 1, ..seen() }).verdict, Verdict::Broken);
        let limited = SurvivalSeen { lost_otherwise: 1, limited: true, ..seen() };
        assert_eq!(survival(&limited).verdict, Verdict::Unproven);
    }

    #[test]
    fn broken_when_a_service_noticed_or_a_process_stayed_away() {
        assert_eq!(survival(&SurvivalSeen { changed: vec!["web-1".into()], ..seen() }).verdict, Verdict::Broken);
        let back = BTreeMap::from([("engine", None)]);
        assert_eq!(survival(&SurvivalSeen { back, ..seen() }).verdict, Verdict::Broken);
    }
}

mod of_autoscale {
    use super::*;

    #[track_caller]
    fn check(broken_s: u64, ready: (u32, u32), (still_broken, limited): (bool, bool), want: Verdict) -> Judgement {
        let broken = Duration::from_secs(broken_s);
        let seen = AutoscaleSeen { broken, still_broken, asked: 1000, ready, limited };
        let got = autoscale(Duration::from_secs(4), &seen);
        assert_eq!(got.verdict, want, "{got:?}");
        assert_eq!(got.why.is_empty(), want == Verdict::Held, "{got:?}");
        got
    }

    #[test]
    fn held_when_it_was_over_in_time() {
        let got = check(1, (2, 8), (false, false), Verdict::Held);
        assert_eq!((got.margin, got.measured.as_str()), (Some(0.75), "1 s broken, 2 to 8 replicas"));
        check(4, (2, 8), (false, true), Verdict::Held);
    }

    #[test]
    fn broken_when_it_took_longer_or_never_ended() {
        check(5, (2, 8), (false, false), Verdict::Broken);
        check(2, (2, 8), (true, false), Verdict::Broken);
        check(5, (2, 8), (false, true), Verdict::Unproven);
    }

    #[test]
    fn nothing_is_shown_when_nothing_was_scaled() {
        check(0, (2, 2), (false, false), Verdict::Unproven);
    }
}
