//! A filing as it is sent: what an organization pays in for its members in a month, read and checked as a whole.
//!
//! Text, a line a member, after a head: `number,wage,employee,employer,pension`, amounts in rupees. What is due of a wage
//! is the law's: the employee pays 12 %, the employer as much, of which 8.33 % of at most 15,000 rupees go to the pension;
//! each rounded to the rupee, halves up.
//!
//! Invariant: a filing is taken as a whole or not at all, and every mistake in it is told at once, with its line.

use crate::money;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use utoipa::ToSchema;
use uuid::Uuid;

/// The first line.
pub const HEAD: &str = "number,wage,employee,employer,pension";
/// So many lines a filing may have.
pub const LINES_MAX: usize = 100_000;
/// Wages beyond this add nothing to the pension, in paise.
const PENSION_WAGE_MAX: i64 = 15_000 * money::RUPEE;

/// What is due of a wage, in paise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// From the employee.
    pub employee: i64,
    /// From the employer, beside the pension.
    pub employer: i64,
    /// From the employer, to the pension.
    pub pension: i64,
}

impl Due {
    /// Of this wage in paise.
    pub fn of(wage: i64) -> Self {
        let employee = money::share_in_rupees(wage, 12, 100);
        let pension = money::share_in_rupees(wage.min(PENSION_WAGE_MAX), 833, 10_000);
        Self { employee, employer: employee - pension, pension }
    }

    /// All three.
    pub fn total(self) -> i64 {
        self.employee + self.employer + self.pension
    }
}

/// A line that is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// Which it is in the file, from 1; the head is line 1.
    pub line: usize,
    /// Whom it is for.
    pub member: Uuid,
    /// In paise.
    pub wage: i64,
    /// What is paid in.
    pub due: Due,
}

/// A mistake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Mistake {
    /// Which line, from 1; 0: the filing as a whole.
    pub line: usize,
    /// A sentence.
    pub what: String,
}

/// Reads and checks a filing against the members of the organization (by number) and the total that it says it has, in
/// paise. Whoever is a member and not in it has no wage in that month.
///
/// # Errors
/// Every mistake, in the order of lines.
pub fn check(text: &str, members: &BTreeMap<String, Uuid>, stated: i64) -> Result<Vec<Line>, Vec<Mistake>> {
    let mut mistakes = Vec::new();
    let mut wrong = |line: usize, what: String| mistakes.push(Mistake { line, what });
    let mut lines = text.lines().enumerate();
    if lines.next().map(|(_, head)| head.trim_end()) != Some(HEAD) {
        wrong(1, format!("the first line is {HEAD}"));
    }
    let (mut right, mut seen, mut total) = (Vec::new(), BTreeSet::new(), 0);
    for (at, written) in lines.filter(|(_, line)| !line.trim().is_empty()) {
        match read(at + 1, written.trim_end(), members) {
            Ok(line) if !seen.insert(line.member) => wrong(line.line, "the member is in it twice".to_owned()),
            Ok(line) => {
                total += line.due.total();
                right.push(line);
            }
            Err(what) => wrong(at + 1, what),
        }
        if at > LINES_MAX {
            wrong(at + 1, format!("a filing has at most {LINES_MAX} lines"));
            break;
        }
    }
    if mistakes.is_empty() && total != stated {
        let what = format!("its lines are {} in all, and {} is stated", money::written(total), money::written(stated));
        mistakes.push(Mistake { line: 0, what });
    } else if mistakes.is_empty() && total == 0 {
        mistakes.push(Mistake { line: 0, what: "nothing is paid in".to_owned() });
    }
    if mistakes.is_empty() { Ok(right) } else { Err(mistakes) }
}

fn read(line: usize, written: &str, members: &BTreeMap<String, Uuid>) -> Result<Line, String> {
    let fields: Vec<&str> = written.split(',').map(str::trim).collect();
    let [number, wage, employee, employer, pension] = fields[..] else {
        return Err(format!("a line has five fields, this one has {}", fields.len()));
    };
    let amount = |name: &str, text: &str| {
        money::parse(text).ok_or_else(|| format!("{name} is an amount in rupees such as 1800.00, not {text:?}"))
    };
    let member = *members.get(number).ok_or_else(|| format!("the organization has no member {number:?}"))?;
    let wage = amount("wage", wage)?;
    let told = Due {
        employee: amount("employee", employee)?,
        employer: amount("employer", employer)?,
        pension: amount("pension", pension)?,
    };
    let due = Due::of(wage);
    for (name, told, due) in [
        ("employee", told.employee, due.employee),
        ("employer", told.employer, due.employer),
        ("pension", told.pension, due.pension),
    ] {
        if told != due {
            let (due, wage) = (money::written(due), money::written(wage));
            return Err(format!("{name} is {due} of a wage of {wage}, not {}", money::written(told)));
        }
    }
    Ok(Line { line, member, wage, due })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members() -> BTreeMap<String, Uuid> {
        (0..3).map(|n| (format!("M{n}"), Uuid::from_u128(n))).collect()
    }

    /// Lines and what of the mistakes.
    #[track_caller]
    fn check_it(body: &str, stated: i64, want: &[(usize, &str)]) {
        let found = check(&format!("{HEAD}\n{body}"), &members(), stated).err().unwrap_or_default();
        let found: Vec<_> = found.iter().map(|mistake| (mistake.line, mistake.what.as_str())).collect();
        assert_eq!(found, want);
    }

    #[test]
    fn what_is_due_is_the_laws() {
        let due = |rupees: i64| Due::of(rupees * 100);
        assert_eq!(due(15_000), Due { employee: 180_000, employer: 55_000, pension: 125_000 });
        assert_eq!(due(100_000), Due { employee: 1_200_000, employer: 1_075_000, pension: 125_000 });
        assert_eq!(due(0).total(), 0);
    }

    #[test]
    fn a_filing_is_right_to_the_paisa_or_wrong() {
        check_it("M0,15000,1800,550,1250\nM1,15000.00,1800.00,550.00,1250.00\n", 720_000, &[]);
        check_it("M0,15000,1800,550,1250\n", 359_999, &[(0, "its lines are 3600.00 in all, and 3599.99 is stated")]);
        check_it("", 0, &[(0, "nothing is paid in")]);
    }

    #[test]
    fn every_mistake_is_told_with_its_line() {
        check_it(
            "M0,15000,1800,550,1250\n\nM0,15000,1800,550,1250\nM9,1,0,0,0\nM1,15000,1800.01,550,1250\nM1,x,1,1,1\nM2,1\n",
            0,
            &[
                (4, "the member is in it twice"),
                (5, "the organization has no member \"M9\""),
                (6, "employee is 1800.00 of a wage of 15000.00, not 1800.01"),
                (7, "wage is an amount in rupees such as 1800.00, not \"x\""),
                (8, "a line has five fields, this one has 2"),
            ],
        );
        let found = check("number;wage\n", &members(), 1).unwrap_err();
        assert_eq!(found[0].line, 1);
    }
}
