//! `plimsoll prove`: every promise, tested for real.

use crate::{args::Prove, interrupted::Interrupts, print, project};
use anyhow::Context;
use plimsoll_api::Client;
use plimsoll_model::promise::{Kind, Promise};
use plimsoll_prove::{Detail, Options, Step, StoreUrl, Verdict};
use plimsoll_wire::place::Place;
use std::{cell::Cell, collections::BTreeMap, process::ExitCode};
use tokio::sync::watch;

/// Tests promises of the running system. 0: all held or unproven; 1: one is broken; 130 after Ctrl-C, 143 after SIGTERM, 129
/// after a closed terminal: what was changed for a test is put back.
pub(crate) async fn prove(args: Prove) -> anyhow::Result<ExitCode> {
    let (client, place) = project::client(&args.at).await?;
    let stores = stores(&client, &place).await?;
    let has_stores = !stores.is_empty();
    let options = Options {
        only: args.promises,
        seed: args.seed,
        allow_production: args.allow_production,
        stores,
        ..Options::default()
    };
    let (stop, stopped) = watch::channel(false);
    let mut interrupts = Interrupts::listen()?;
    let proving = plimsoll_prove::prove_until(client, options, stopped, show);
    let code = Cell::new(ExitCode::SUCCESS);
    let twice = async {
        code.set(interrupts.recv().await);
        stop.send_replace(true);
        print::note("ending; what was changed for a test is put back (once more Ctrl-C waits for nothing)");
        interrupts.recv().await;
    };
    let report = tokio::select! {
        report = proving => report?,
        () = twice => {
            print::note("not waited for; `plimsoll status` tells if a service still has a version to test with");
            if has_stores {
                print::note("a store may still hold what was written to test with; the next `plimsoll prove` of it removes that");
            }
            return Ok(code.get());
        }
    };
    if let Some(file) = &args.html {
        std::fs::write(file, plimsoll_prove::page(&report))
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    if args.json {
        print::line(&report.json());
    } else {
        print::raw(&plimsoll_prove::table(&report, if args.verbose { Detail::Full } else { Detail::Short }));
    }
    if *stop.borrow() {
        return Ok(code.get());
    }
    Ok(if report.count(Verdict::Broken) == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// How to get into the stores that promises are about, for whoever may read their passwords.
async fn stores(client: &Client, place: &Place) -> anyhow::Result<BTreeMap<String, StoreUrl>> {
    let system = client.system().await?.system;
    let status = client.status().await?;
    let login = |promise: &Promise| {
        let Kind::StoreFailover { store: name, .. } = &promise.kind else { return None };
        let engine = system.stores.get(name)?.engine;
        let secrets = place.state.join("stores").join(name).join("secrets");
        let url = plimsoll_stores::service_url(name, engine, &status.stores.get(name)?.address, &secrets)?;
        Some((name.clone(), StoreUrl::new(url)))
    };
    Ok(system.promises.values().filter_map(login).collect())
}

fn show(step: Step<'_>) {
    match step {
        Step::Begins { promise, kind } => print::note(&format!("proving {promise} ({kind}) …")),
        Step::Ends(proof) => print::note(&format!("  {}", proof.verdict.word())),
    }
}
