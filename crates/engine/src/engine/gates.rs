//! What persons ask of releases: promote, abort, pause, resume, forgive, go back.

use super::{Engine, turning::Wake};
use crate::programs;
use plimsoll_api::release::{Order, Wish};
use plimsoll_control::rollout::{
    self, Back, Command, Event,
    together::{Chosen, Member},
};
use plimsoll_journal::entry::{Entry, Row};
use plimsoll_model::RevisionId;

impl Engine {
    /// Carries an order out as far as deciding goes; tells what happened.
    ///
    /// # Errors
    /// There is nothing that it could be about, or the disk refused; a sentence for a person. Nothing was changed, unless
    /// several services go back: when the disk refuses a line of the ledger, the choice holds without it.
    pub(super) fn order_release(&mut self, order: &Order) -> Result<String, String> {
        self.is_not_ending()?;
        let by = if order.by.is_empty() { "a person".to_owned() } else { order.by.clone() };
        let order = Order { by, ..order.clone() };
        match (&order.service, order.wish) {
            (Some(service), Wish::Rollback) => self.go_back(&service.clone(), &order),
            (None, Wish::Rollback) => self.go_back_with_all(&order),
            (Some(service), Wish::Forgive) => self.forgive(&service.clone(), &order),
            (Some(service), wish) => self.command(&service.clone(), wish, &order),
            (None, _) => Err("name the service whose release is meant".into()),
        }
    }

    /// Gives a command to the release that is under way, or on probation.
    fn command(&mut self, service: &str, wish: Wish, order: &Order) -> Result<String, String> {
        self.known_service(service)?;
        let memory = self.release_memory(service);
        let on_probation = memory.stable.as_ref().filter(|_| memory.previous.is_some());
        let Some(revision) = memory.target.as_ref().or(on_probation).cloned() else {
            return Err(format!("no release of {service} is under way"));
        };
        let wish = match wish {
            Wish::Promote => rollout::Wish::Promote,
            Wish::Abort => rollout::Wish::Abort,
            Wish::Pause => rollout::Wish::Pause,
            Wish::Resume => rollout::Wish::Resume,
            Wish::Forgive | Wish::Rollback => return Err("this is no command for a release that is under way".into()),
        };
        self.send_command(service, Command { revision, wish, by: order.by.clone(), why: order.why.clone() })
    }

    fn send_command(&mut self, name: &str, command: Command) -> Result<String, String> {
        let service = self.known_service(name)?;
        let now = self.clock.now();
        let goals = self.goals(now, &mut Wake::default());
        let goal = goals.get(name).ok_or("what is decided can't be written down now; try again")?;
        let decision = self.decide_release((name, &service), goal, vec![command], now)?;
        if decision.events.is_empty() {
            return Err(format!("nothing changes by that: {}", decision.reason));
        }
        let said: Vec<String> = decision.events.iter().map(Event::said).collect();
        Ok(format!("{name}: {}", said.join("; ")))
    }

    /// Lets what was sent back, or gone back from, be tried again.
    fn forgive(&mut self, service: &str, order: &Order) -> Result<String, String> {
        self.known_service(service)?;
        let wanted = self.revisions.get(service).cloned().unwrap_or_default();
        let event = Event::Forgiven { revision: wanted.clone(), by: order.by.clone() };
        let was_chosen = self.record.remembered.together.chosen.contains_key(service);
        if was_chosen {
            let mut memory = self.record.remembered.together.clone();
            memory.chosen.remove(service);
            self.record.commit(Entry::Together(Box::new(memory))).map_err(|error| plimsoll_journal::chain(&error))?;
            self.enter(service, &wanted, event.clone(), order)?;
        }
        if self.release_memory(service).is_quarantined(&wanted) {
            let (by, why) = (order.by.clone(), order.why.clone());
            return self.send_command(service, Command { revision: wanted, wish: rollout::Wish::Forgive, by, why });
        }
        if was_chosen {
            return Ok(format!("{service}: {}", event.said()));
        }
        Err(format!("nothing is held against the version of {service} that the file asks for"))
    }

    /// Goes back with one service.
    fn go_back(&mut self, service: &str, order: &Order) -> Result<String, String> {
        self.known_service(service)?;
        let to = order.to.map(|number| self.revision_of_row(service, number)).transpose()?;
        match rollout::back(&self.release_memory(service), to.as_ref()).map_err(|why| format!("{service}: {why}"))? {
            Back::Abort(revision) => {
                let (by, why) = (order.by.clone(), order.why.clone());
                self.send_command(service, Command { revision, wish: rollout::Wish::Abort, by, why })
            }
            Back::Choose(revision) => self.choose(&[(service.to_owned(), revision)], order),
        }
    }

    fn revision_of_row(&self, service: &str, number: u64) -> Result<RevisionId, String> {
        let row = self.record.remembered.ledger.iter().find(|row| row.number == number);
        let row = row.ok_or_else(|| format!("the ledger has no line {number}; `plimsoll history` shows it"))?;
        if row.service != service {
            return Err(format!("line {number} of the ledger is about {}, not about {service}", row.service));
        }
        Ok(row.revision.clone())
    }

    /// Goes back with everything that changed last, or to what was promoted up to a line of the ledger.
    fn go_back_with_all(&mut self, order: &Order) -> Result<String, String> {
        if let Some(number) = order.to {
            return self.choose(&self.promoted_up_to(number)?, order);
        }
        let together = &self.record.remembered.together;
        if let Some(undone) = &together.undone {
            return Err(format!("the last change went back already: {} was sent back: {}", undone.service, undone.why));
        }
        let members: Vec<(String, Member)> = together.members.clone().into_iter().collect();
        for (name, _) in &members {
            if self.release_memory(name).is_under_way() {
                // The others of the change follow it.
                return self.go_back(name, &Order { service: Some(name.clone()), ..order.clone() });
            }
        }
        let former: Vec<_> = members.into_iter().map(|(name, member)| (name, member.former)).collect();
        if former.is_empty() {
            return Err("nothing was released since the system came up".into());
        }
        self.choose(&former, order)
    }

    /// For each service, what was promoted last up to a line of the ledger, where that is not what runs.
    fn promoted_up_to(&self, number: u64) -> Result<Vec<(String, RevisionId)>, String> {
        let mut found = std::collections::BTreeMap::new();
        for row in self.record.remembered.ledger.iter().filter(|row| row.number <= number) {
            if matches!(row.event, Event::Promoted { .. }) && self.revisions.contains_key(&row.service) {
                found.insert(row.service.clone(), row.revision.clone());
            }
        }
        found.retain(|name, revision| self.release_memory(name).stable.as_ref() != Some(revision));
        if found.is_empty() {
            return Err(format!("nothing differs from what ran at line {number} of the ledger"));
        }
        Ok(found.into_iter().collect())
    }

    /// Chooses former versions instead of the file's, all of them or none.
    fn choose(&mut self, choices: &[(String, RevisionId)], order: &Order) -> Result<String, String> {
        let mut memory = self.record.remembered.together.clone();
        let mut left = Vec::new();
        for (name, revision) in choices {
            let known = self.release_memory(name);
            if !known.past.contains(revision) {
                return Err(format!("{name}: {revision} is not kept any more"));
            }
            let program = self.record.remembered.programs.get(revision);
            if program.is_some_and(|program| programs::to_run(&self.place.state, program) == programs::Found::Nowhere) {
                return Err(format!("{name}: the program of {revision} was built anew and no copy of it was kept"));
            }
            let instead_of = self.revisions.get(name).cloned().unwrap_or_default();
            if *revision == instead_of {
                memory.chosen.remove(name);
            } else {
                let (by, why) = (order.by.clone(), order.why.clone());
                memory.chosen.insert(name.clone(), Chosen { revision: revision.clone(), instead_of, by, why });
            }
            left.push((name, known.stable.unwrap_or_default()));
        }
        self.record.commit(Entry::Together(Box::new(memory))).map_err(|error| plimsoll_journal::chain(&error))?;
        for (name, revision) in left {
            let why = format!("{} goes back: {}", order.by, order.why);
            self.enter(name, &revision, Event::RolledBack { revision: revision.clone(), why }, order)?;
        }
        let said: Vec<String> =
            choices.iter().map(|(name, revision)| format!("{name} goes back to {revision}")).collect();
        Ok(said.join("; "))
    }

    /// Enters into the ledger, and tells, what a person did beside the release of a service.
    fn enter(&mut self, service: &str, revision: &RevisionId, event: Event, order: &Order) -> Result<(), String> {
        let row = Row {
            number: self.record.remembered.last_row + 1,
            at: self.clock.now(),
            service: service.into(),
            revision: revision.clone(),
            event: event.clone(),
            by: order.by.clone(),
            why: order.why.clone(),
        };
        let memory = Box::new(self.release_memory(service));
        let entry = Entry::Released { service: service.into(), memory, rows: vec![row] };
        self.record.commit(entry).map_err(|error| plimsoll_journal::chain(&error))?;
        self.tell(service, event.word(), &event.said(), event.is_warning());
        Ok(())
    }
}
