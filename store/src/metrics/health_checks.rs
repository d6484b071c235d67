//! What came of the checks behind `/livez` and `/readyz`. A check that nobody asked for yet has no samples, as in etcd.

use super::{Counter, Gauge, Page};
use crate::http::health::Check;

/// Of one page.
#[derive(Debug)]
pub struct HealthChecks {
    page: &'static str,
    checks: Vec<Counts>,
}

#[derive(Debug)]
struct Counts {
    check: Check,
    succeeded: Counter,
    failed: Counter,
    /// 1 if it succeeded when it was last asked.
    last: Gauge,
}

impl HealthChecks {
    pub fn new(page: &'static str, checks: &[Check]) -> HealthChecks {
        let counts = |check: &Check| Counts {
            check: *check,
            succeeded: Counter::default(),
            failed: Counter::default(),
            last: Gauge::default(),
        };
        HealthChecks { page, checks: checks.iter().map(counts).collect() }
    }

    pub fn count(&self, check: Check, well: bool) {
        let Some(counts) = self.checks.iter().find(|counts| counts.check == check) else { return };
        if well {
            counts.succeeded.inc()
        } else {
            counts.failed.inc()
        }
        counts.last.set(i64::from(well));
    }
}

pub fn render(page: &mut Page, pages: &[&HealthChecks]) {
    let checks = || pages.iter().flat_map(|of| of.checks.iter().map(|counts| (of.page, counts)));
    let asked = |counts: &Counts| counts.succeeded.get() + counts.failed.get() > 0;
    let name = "etcd_server_healthcheck";
    page.family(name, "gauge", "1 if the check succeeded when it was last asked");
    for (kind, counts) in checks().filter(|(_, counts)| asked(counts)) {
        page.sample(name, &[("name", counts.check.name()), ("type", kind)], counts.last.get() as f64);
    }
    let name = "etcd_server_healthchecks_total";
    page.family(name, "counter", "How often the check was asked");
    for (kind, counts) in checks() {
        for (status, counter) in [("success", &counts.succeeded), ("error", &counts.failed)] {
            if counter.get() > 0 {
                let labels = [("name", counts.check.name()), ("status", status), ("type", kind)];
                page.sample(name, &labels, counter.get() as f64);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::health::LIVEZ;

    #[test]
    fn only_what_was_asked_is_told() {
        let livez = HealthChecks::new("livez", LIVEZ);
        let text = || {
            let mut page = Page::default();
            render(&mut page, &[&livez]);
            page.into_text()
        };
        assert!(!text().contains('{'));
        livez.count(Check::SerializableRead, true);
        livez.count(Check::SerializableRead, false);
        let text = text();
        for want in [
            "etcd_server_healthcheck{name=\"serializable_read\",type=\"livez\"} 0",
            "etcd_server_healthchecks_total{name=\"serializable_read\",status=\"success\",type=\"livez\"} 1",
            "etcd_server_healthchecks_total{name=\"serializable_read\",status=\"error\",type=\"livez\"} 1",
        ] {
            assert!(text.lines().any(|line| line == want), "{want} is not in\n{text}");
        }
    }
}
