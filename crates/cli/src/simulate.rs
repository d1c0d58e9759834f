//! `plimsoll simulate`: the system under an imagined scenario.

use crate::{args::Simulate, print, project};
use anyhow::{Context, bail};
use plimsoll_model::{
    Millis, System,
    simulation::{Arrivals, Simulation},
};
use plimsoll_simulate::{Basis, Plan, Report, SwarmReport, Traces, Verdict, World};
use plimsoll_spec::{Input, Setting, Source};
use std::{fs, io::Write, path::Path, process::ExitCode, thread, time::Duration};

/// Nanoseconds of a second.
const SECOND: u64 = 1_000_000_000;

/// What is simulated: a file, checked, with its scenario and what that refers to.
struct Imagined {
    system: System,
    scenario: Simulation,
    traces: Traces,
}

/// Plays a scenario. 0: every promise would be held, or nothing says; 1: one would be broken, or the file is wrong.
pub(crate) fn simulate(args: &Simulate) -> anyhow::Result<ExitCode> {
    let Some(imagined) = read(args)? else { return Ok(ExitCode::FAILURE) };
    let Imagined { system, scenario, traces } = &imagined;
    let basis = Basis { system, scenario, traces, seed: args.seed };
    if let Some(range) = &args.users {
        return find_load_line(basis, range, args.json);
    }
    if let Some(worlds) = args.swarm {
        return swarm(&imagined, args.seed..args.seed.saturating_add(worlds), args.json);
    }
    let report = if args.fluid { Report::fluid(basis)? } else { play(args, basis)? };
    if let Some(file) = &args.html {
        fs::write(file, plimsoll_simulate::page(&report))
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    if args.json {
        print::line(&report.json());
    } else {
        print::raw(&plimsoll_simulate::text(&report));
    }
    let good = report.count(Verdict::Broken) == 0 && report.violations.is_empty();
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Finds the load line. 0: something holds; 1: not even the lower end does.
fn find_load_line(basis: Basis<'_>, range: &str, json: bool) -> anyhow::Result<ExitCode> {
    let (from, to) = range.split_once("..").with_context(|| format!("write FROM..TO, not `{range}`"))?;
    let (from, to) = (people(from)?, people(to)?);
    if from > to {
        bail!("{from} is more than {to}");
    }
    let line = plimsoll_simulate::load_line(basis, (from, to))?;
    if json {
        print::line(&serde_json::to_string_pretty(&line)?);
    } else {
        print::raw(&plimsoll_simulate::load_line_text(&line));
    }
    Ok(if line.holds > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// `10k`, `1M` or `2500`.
fn people(text: &str) -> anyhow::Result<u64> {
    let text = text.trim();
    let (number, times) = match text.strip_suffix(['k', 'K']) {
        Some(number) => (number, 1000),
        None => text.strip_suffix('M').map_or((text, 1), |number| (number, 1_000_000)),
    };
    let number: u64 = number.parse().with_context(|| format!("`{text}` is no number of people: write 10k or 1M"))?;
    number.checked_mul(times).with_context(|| format!("`{text}` is too many people"))
}

/// Plays one world for each seed. 1: a checker found something in one of them.
fn swarm(imagined: &Imagined, seeds: std::ops::Range<u64>, json: bool) -> anyhow::Result<ExitCode> {
    let told = |report: &SwarmReport| {
        if !json && report.worlds.is_multiple_of(1000) {
            print::note(&format!("{} worlds, {} broken", report.worlds, report.broken.len()));
        }
    };
    let Imagined { system, scenario, traces } = imagined;
    let report = plimsoll_simulate::swarm((system, scenario, traces), seeds.clone(), told)?;
    if json {
        print::line(&serde_json::to_string_pretty(&report)?);
    } else {
        for (seed, first) in &report.broken {
            print::line(&format!("seed {seed}: {first}"));
        }
        let SwarmReport { worlds, events, faults, requests, broken, digest } = &report;
        print::line(&format!(
            "{worlds} worlds (seeds {} to {}), {events} events, {faults} faults, {} of {} requests failed: {} worlds broken; digest {digest:016x}",
            seeds.start,
            seeds.end.saturating_sub(1),
            requests.1,
            requests.0,
            broken.len()
        ));
    }
    Ok(if report.broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Reads the file with the settings of the command; findings are printed. `None`: it has errors.
fn read(args: &Simulate) -> anyhow::Result<Option<Imagined>> {
    let file = project::find_file(args.file.file.as_deref())?;
    let folder = file.parent().map(Path::to_path_buf).unwrap_or_default();
    let name = project::shown(&file);
    let text = match plimsoll_spec::read(&file) {
        Ok(text) => text,
        Err(finding) => {
            let source = Source::new(&name, "");
            print::note(&plimsoll_spec::render_text(&[*finding], &source, print::colour_on_stderr()));
            return Ok(None);
        }
    };
    let settings: Vec<Setting> = args.set.iter().map(|text| setting(text)).collect::<Result<_, _>>()?;
    let checked = plimsoll_spec::check(&Input {
        environment: args.file.overlay.env.as_deref(),
        folder: folder.file_name().and_then(|folder| folder.to_str()),
        set: &settings,
        ..Input::new(&name, &text)
    });
    if !checked.diagnostics.is_empty() {
        let source = Source::new(&name, &text);
        print::note(&plimsoll_spec::render_text(&checked.diagnostics, &source, print::colour_on_stderr()));
    }
    let Some(system) = checked.system else { return Ok(None) };
    let Some(mut scenario) = system.simulation.clone() else {
        bail!(
            "this file has no `simulation:`; write for example\n\n  simulation:\n    traffic: {{ people: {{ route: /, rate: 100/s }} }}\n    \
             services: {{ NAME: {{ time: {{ mean: 2ms }} }} }}\n\nor begin with --set simulation.traffic.people='{{ route: /, rate: 100/s }}'"
        );
    };
    if let Some(until) = &args.until {
        scenario.duration = duration(until)?;
        scenario.warm_up = scenario.warm_up.min(Millis(scenario.duration.0 / 2));
    }
    let traces = traces(&scenario, &folder)?;
    if let Some(file) = &args.measured {
        let report = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let routes = plimsoll_simulate::use_measured(&mut scenario, &system, &report).map_err(anyhow::Error::msg)?;
        print::note(&format!("times of work as measured for {}", routes.join(", ")));
    }
    Ok(Some(Imagined { system, scenario, traces }))
}

/// `path=value`.
fn setting(text: &str) -> anyhow::Result<Setting> {
    let (path, value) = text.split_once('=').with_context(|| format!("write a setting as PATH=VALUE, not `{text}`"))?;
    Ok(Setting { path: path.trim().into(), value: value.into() })
}

/// `90s`, `10m`, `24h`.
fn duration(text: &str) -> anyhow::Result<Millis> {
    let time = plimsoll_spec::duration(text).filter(|time| time.0 > 0);
    time.with_context(|| format!("`{text}` is no length of time; write for example 10m"))
}

/// Reads every trace that the scenario names, relative to the file's folder.
fn traces(scenario: &Simulation, folder: &Path) -> anyhow::Result<Traces> {
    let mut traces = Traces::new();
    for traffic in scenario.traffic.values() {
        let Arrivals::Trace(name) = &traffic.arrivals else { continue };
        let file = folder.join(name);
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read the trace {}", file.display()))?;
        let trace = plimsoll_simulate::read_trace(&text).map_err(|why| anyhow::anyhow!("{}: {why}", file.display()))?;
        traces.insert(name.clone(), trace);
    }
    Ok(traces)
}

/// Plays the scenario to its end, writing its trace and showing its course where that is asked for.
fn play(args: &Simulate, basis: Basis<'_>) -> anyhow::Result<Report> {
    let mut world = World::new(Plan::of(basis.system, basis.scenario, basis.traces, basis.seed)?);
    let mut trace = None;
    if let Some(file) = &args.trace {
        world = world.traced();
        trace = Some(fs::File::create(file).with_context(|| format!("cannot write {}", file.display()))?);
    }
    let end = basis.scenario.duration.0.div_ceil(1000);
    for second in 1..=end {
        world.run_until(second.saturating_mul(SECOND));
        if let Some(file) = &mut trace {
            file.write_all(world.take_trace().as_bytes()).context("cannot write the trace")?;
        }
        if let Some(speed) = args.speed {
            show(&world, second);
            thread::sleep(Duration::from_secs_f64((1.0 / speed).min(3600.0)));
        }
    }
    world.run();
    Ok(Report::of_world(basis, world)?)
}

/// One line about how it stands.
fn show(world: &World, second: u64) {
    let (ended, right) = world.figures().ended();
    let services = world.replicas().into_iter().map(|(name, ready, wanted)| format!("{name} {ready}/{wanted}"));
    let services: Vec<String> = services.collect();
    print::note(&format!("{second:>6} s  {ended} answered, {} failed  {}", ended - right, services.join("  ")));
}
