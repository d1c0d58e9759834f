//! One case of a vector file, and its answer.

use super::super::condition::{Condition, ConditionKind, Status};
use super::super::history::{Event, Memory, changed_within, remember};
use super::super::hpa;
use super::super::limit::{self, Bounds, Made};
use super::super::metric::{Proposal, Setting, propose};
use super::super::policy::{Controller, Metric, Policy};
use super::super::seen::{Pod, Seen, Selector};
use super::super::trail::Trail;
use super::super::{history, pods};
use super::answer::{Answer, Stored};
use super::form::{
    BehaviorForm, ConditionForm, EventForm, GatesForm, MetricForm, NOW, PaceForm, PodForm, RecommendationForm,
    SampleForm, TolerancesForm, WarmingForm,
};
use plimsoll_model::Millis;
use serde::Deserialize;

/// One case. What it expects is not read here: it is for the test to compare.
#[derive(Debug, Clone, Deserialize)]
pub struct Case {
    /// Unique in its file.
    pub id: String,
    #[serde(flatten)]
    question: Question,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "group", content = "input", rename_all = "snake_case")]
enum Question {
    ReplicaCalc(ReplicaCalc),
    Controller(Box<Reconcile>),
    LimitsNoBehavior(Limits),
    RateWithBehavior(Rate),
    StabilizeNoBehavior(Stabilise),
    StabilizeWithBehavior(StabiliseBoth),
    GroupPods(GroupPods),
    Requests(Requests),
    StoreScaleEvents(StoreEvents),
    SeveralMetrics(Several),
}

/// Decides a case.
#[must_use]
pub fn answer(case: &Case) -> Answer {
    match case.question.clone() {
        Question::ReplicaCalc(input) => input.answer(),
        Question::Controller(input) => input.answer(),
        Question::LimitsNoBehavior(input) => input.answer(),
        Question::RateWithBehavior(input) => input.answer(),
        Question::StabilizeNoBehavior(input) => input.answer(),
        Question::StabilizeWithBehavior(input) => input.answer(),
        Question::GroupPods(input) => input.answer(),
        Question::Requests(input) => input.answer(),
        Question::StoreScaleEvents(input) => input.answer(),
        Question::SeveralMetrics(input) => input.answer(),
    }
}

fn pods(forms: Vec<PodForm>) -> Vec<Pod> {
    forms.into_iter().map(PodForm::pod).collect()
}

fn controller(warming: WarmingForm) -> Controller {
    Controller {
        cpu_initialization: Millis::from_secs(warming.cpu_init_period_s),
        initial_readiness: Millis::from_secs(warming.initial_readiness_delay_s),
        ..Controller::default()
    }
}

#[derive(Debug, Clone, Deserialize)]
struct ReplicaCalc {
    current_replicas: i32,
    tolerance: TolerancesForm,
    #[serde(flatten)]
    warming: WarmingForm,
    pods: Vec<PodForm>,
    metric: MetricForm,
}

impl ReplicaCalc {
    fn answer(self) -> Answer {
        let controller = controller(self.warming);
        let pods = pods(self.pods);
        let (current, status) = (self.current_replicas, self.current_replicas);
        let tolerance = self.tolerance.tolerance();
        let setting = Setting { at: NOW, current, status, pods: &pods, tolerance, controller: &controller };
        let (metric, reading) = self.metric.split();
        match propose(&metric, Some(&reading), &setting, &mut Trail::default()) {
            Err(failure) => Answer { error: Some(failure.message), ..Answer::default() },
            Ok(Proposal { replicas, utilization: Some(percent), usage }) => Answer {
                replicas: Some(replicas),
                utilization_pct: Some(percent),
                raw_average_milli: Some(usage),
                ..Answer::default()
            },
            Ok(Proposal { replicas, usage, .. }) => {
                Answer { replicas: Some(replicas), usage_milli: Some(usage), ..Answer::default() }
            }
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
struct Several {
    spec_replicas: i32,
    status_replicas: i32,
    metrics: Vec<MetricForm>,
    pods: Vec<PodForm>,
    gates: GatesForm,
    tolerance: TolerancesForm,
    #[serde(flatten)]
    warming: WarmingForm,
}

impl Several {
    fn split(self) -> (Policy, Seen) {
        let (metrics, readings): (Vec<Metric>, Vec<_>) = self.metrics.into_iter().map(MetricForm::split).unzip();
        let controller = Controller {
            tolerance: self.tolerance.tolerance(),
            configurable_tolerance: self.gates.tolerance,
            scale_to_zero: self.gates.zero,
            pod_level_resources: self.gates.pod_level,
            ..controller(self.warming)
        };
        let policy = Policy { min_replicas: 0, max_replicas: i32::MAX, metrics, behavior: None, controller };
        let seen = Seen {
            at: NOW,
            spec_replicas: Some(self.spec_replicas),
            status_replicas: self.status_replicas,
            selector: Selector::Clear,
            pods: pods(self.pods),
            readings,
            explain: false,
        };
        (policy, seen)
    }

    fn answer(self) -> Answer {
        let (policy, seen) = self.split();
        let (replicas, reason) = hpa::several(&policy, &seen);
        let status = if replicas.is_some() { Status::True } else { Status::False };
        let scaling_active = Some((status, reason));
        Answer { replicas: Some(replicas.unwrap_or(-1)), scaling_active, ..Answer::default() }
    }
}

#[derive(Debug, Clone, Deserialize)]
struct Reconcile {
    #[serde(flatten)]
    several: Several,
    min_replicas: i32,
    max_replicas: i32,
    behavior: Option<BehaviorForm>,
    recommendations: Option<Vec<RecommendationForm>>,
    initial_conditions: Vec<ConditionForm>,
    downscale_window_s: u64,
    scale_up_limit_factor: f64,
    #[serde(default)]
    scale_read_fails: bool,
    #[serde(default)]
    scale_write_fails: bool,
    selector_fault: Option<String>,
}

impl Reconcile {
    fn answer(self) -> Answer {
        let recommendations =
            self.recommendations.map(|forms| forms.into_iter().map(|one| one.recommendation()).collect());
        let conditions = self.initial_conditions.into_iter().map(ConditionForm::condition).collect();
        let mut memory = Memory { recommendations, conditions, ..Memory::default() };
        let current = self.several.spec_replicas;
        let (mut policy, mut seen) = self.several.split();
        policy.min_replicas = self.min_replicas;
        policy.max_replicas = self.max_replicas;
        policy.behavior = self.behavior.map(BehaviorForm::behavior);
        policy.controller.downscale_window = Millis::from_secs(self.downscale_window_s);
        policy.controller.scale_up_factor = self.scale_up_limit_factor;
        seen.spec_replicas = (!self.scale_read_fails).then_some(current);
        seen.selector = match self.selector_fault.as_deref() {
            None => Selector::Clear,
            Some("AmbiguousSelector") => Selector::Ambiguous,
            Some(_) => Selector::Invalid,
        };
        let mut decision = hpa::decide(&policy, &mut memory, &seen);
        if self.scale_write_fails {
            hpa::refused(&policy, &mut memory, &mut decision, &seen);
        }
        let active = |one: &Condition| one.kind == ConditionKind::ScalingActive && one.status == Status::True;
        let cpu = policy
            .metrics
            .iter()
            .position(|metric| matches!(metric, Metric::Resource { resource } if resource.name == "cpu"));
        let used = cpu.and_then(|index| decision.utilization.get(index).copied().flatten());
        Answer {
            replicas: Some(decision.replicas.unwrap_or(current)),
            cpu_utilization_pct: used.filter(|_| decision.conditions.iter().any(active)),
            conditions: Some(decision.conditions.iter().map(ConditionForm::of).collect()),
            ..Answer::default()
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
struct Limits {
    current_replicas: i32,
    desired_replicas: i32,
    min_replicas: i32,
    max_replicas: i32,
    scale_up_limit_factor: f64,
}

impl Limits {
    fn answer(self) -> Answer {
        let bounds = Bounds { min: self.min_replicas, max: self.max_replicas };
        let (replicas, reason) =
            limit::limit(self.current_replicas, self.desired_replicas, bounds, self.scale_up_limit_factor);
        Answer { replicas: Some(replicas), reason: Some(reason), ..Answer::default() }
    }
}

#[derive(Debug, Clone, Deserialize)]
struct Rate {
    current_replicas: i32,
    desired_replicas: i32,
    min_replicas: i32,
    max_replicas: i32,
    behavior: BehaviorForm,
    scale_up_events: Vec<EventForm>,
    scale_down_events: Vec<EventForm>,
}

impl Rate {
    fn answer(self) -> Answer {
        let events = |forms: Vec<EventForm>| forms.into_iter().map(EventForm::event).collect::<Vec<Event>>();
        let (ups, downs) = (events(self.scale_up_events), events(self.scale_down_events));
        let behavior = self.behavior.behavior();
        let (replicas, reason) = limit::limit_rate(
            (self.current_replicas, self.desired_replicas),
            Bounds { min: self.min_replicas, max: self.max_replicas },
            (&behavior.scale_up, &behavior.scale_down),
            Made { ups: &ups, downs: &downs, at: NOW },
            &mut Trail::default(),
        );
        Answer { replicas: Some(replicas), reason: Some(reason), ..Answer::default() }
    }
}

#[derive(Debug, Clone, Deserialize)]
struct Stabilise {
    desired_replicas: i32,
    recommendations: Vec<RecommendationForm>,
    downscale_window_s: u64,
}

impl Stabilise {
    fn answer(self) -> Answer {
        let mut kept: Vec<_> = self.recommendations.into_iter().map(RecommendationForm::recommendation).collect();
        let window = Millis::from_secs(self.downscale_window_s);
        let replicas = limit::stabilise(self.desired_replicas, window, NOW, &mut kept);
        Answer { replicas: Some(replicas), stored: Some(Stored::Count(kept.len())), ..Answer::default() }
    }
}

#[derive(Debug, Clone, Deserialize)]
struct StabiliseBoth {
    current_replicas: i32,
    desired_replicas: i32,
    recommendations: Vec<RecommendationForm>,
    scale_up_window_s: i32,
    scale_down_window_s: i32,
}

impl StabiliseBoth {
    fn answer(self) -> Answer {
        let mut kept: Vec<_> = self.recommendations.into_iter().map(RecommendationForm::recommendation).collect();
        let windows = (history::seconds(self.scale_up_window_s), history::seconds(self.scale_down_window_s));
        let replicas = limit::stabilise_both((self.current_replicas, self.desired_replicas), windows, NOW, &mut kept);
        let stored_recommendations = Some(kept.iter().map(|one| one.replicas).collect());
        Answer { replicas: Some(replicas), stored_recommendations, ..Answer::default() }
    }
}

#[derive(Debug, Clone, Deserialize)]
struct GroupPods {
    resource: String,
    pods: Vec<PodForm>,
    samples: Vec<SampleForm>,
    #[serde(flatten)]
    warming: WarmingForm,
}

impl GroupPods {
    fn answer(self) -> Answer {
        let samples: Vec<_> = self.samples.into_iter().map(SampleForm::sample).collect();
        let figures = match pods::figures(&samples, None) {
            Ok(figures) => figures,
            Err(error) => return Answer { error: Some(error), ..Answer::default() },
        };
        let groups = pods::group(&pods(self.pods), &figures, &self.resource, (&controller(self.warming), NOW));
        Answer {
            ready_count: Some(groups.ready),
            unready: Some(groups.unready),
            missing: Some(groups.missing),
            ignored: Some(groups.ignored),
            ..Answer::default()
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
struct Requests {
    resource: String,
    container: String,
    pod_level_resources: bool,
    pods: Vec<PodForm>,
}

impl Requests {
    fn answer(self) -> Answer {
        let container = (!self.container.is_empty()).then_some(self.container.as_str());
        match pods::requests(&pods(self.pods), &self.resource, container, self.pod_level_resources) {
            Ok(requests) => Answer { requests_milli: Some(requests), ..Answer::default() },
            Err(error) => Answer { error: Some(error), ..Answer::default() },
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
struct StoreEvents {
    events: Vec<EventForm>,
    new_change: i32,
    policies: Option<Vec<PaceForm>>,
}

impl StoreEvents {
    fn answer(self) -> Answer {
        let mut events: Vec<_> = self.events.into_iter().map(EventForm::event).collect();
        // The upstream test looks back 60 s whatever the policies say.
        let change = changed_within(&events, 60, NOW);
        if let Some(policies) = self.policies {
            let policies: Vec<_> = policies.into_iter().map(PaceForm::pace).collect();
            remember(&mut events, self.new_change, &policies, NOW);
        }
        let stored = events.iter().map(|event| (event.change, event.outdated)).collect();
        Answer { change_in_60s: Some(change), stored: Some(Stored::Events(stored)), ..Answer::default() }
    }
}
