//! `plimsoll prove`: every promise, tested for real.

use crate::{args::Prove, print, project};
use anyhow::Context;
use plimsoll_prove::{Detail, Options, Step, Verdict};
use std::process::ExitCode;

/// Tests promises of the running system. 0: all held or unproven; 1: one is broken.
pub(crate) async fn prove(args: Prove) -> anyhow::Result<ExitCode> {
    let (client, _) = project::client(&args.at).await?;
    let options =
        Options { only: args.promises, seed: args.seed, allow_production: args.allow_production, ..Options::default() };
    let report = plimsoll_prove::prove(client, options, show).await?;
    if let Some(file) = &args.html {
        std::fs::write(file, plimsoll_prove::page(&report))
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    if args.json {
        print::line(&report.json());
    } else {
        print::raw(&plimsoll_prove::table(&report, if args.verbose { Detail::Full } else { Detail::Short }));
    }
    Ok(if report.count(Verdict::Broken) == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn show(step: Step<'_>) {
    match step {
        Step::Begins { promise, kind } => print::note(&format!("proving {promise} ({kind}) …")),
        Step::Ends(proof) => print::note(&format!("  {}", proof.verdict.word())),
    }
}
