//! From the table of metrics to what a scraper reads: a collector that merges the shards' cells when it is asked.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Registry, TEXT_FORMAT, TextEncoder};

use super::families::{Family, Kind, Sample, Scrape, Value, all};
use super::histogram::Distribution;
use super::process::Process;
use crate::control::state::NodeState;

/// Media type of an [`Exposition`]'s text.
pub const CONTENT_TYPE: &str = TEXT_FORMAT;

/// Buckets of a histogram per octave; the cells have twice as many.
const BUCKETS_PER_OCTAVE: usize = 4;
/// The least and the greatest bucket end of a histogram: 1 µs and 17 s.
const BUCKET_ENDS_NS: (u64, u64) = (1 << 10, 1 << 34);

/// Everything that a node exposes, in a registry of its own.
pub struct Exposition {
    registry: Registry,
}

impl Exposition {
    /// The metrics of the node that `state` describes.
    pub fn new(state: Arc<NodeState>) -> Self {
        let registry = Registry::new();
        let descriptions = all().map(description).collect();
        registry
            .register(Box::new(NodeCollector { state, descriptions }))
            .expect("names in the table of metrics are valid and differ, as a test shows");
        Self { registry }
    }

    /// The metrics of this moment in the text format.
    ///
    /// # Errors
    ///
    /// None that a test has not met: the encoder refuses malformed families only.
    pub fn text(&self) -> prometheus::Result<String> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

fn description(family: &Family) -> Desc {
    let labels = family.labels.iter().map(|label| label.name.to_owned()).collect();
    Desc::new(family.name.into(), family.help.into(), labels, HashMap::new())
        .expect("names in the table of metrics are valid, as a test shows")
}

struct NodeCollector {
    state: Arc<NodeState>,
    descriptions: Vec<Desc>,
}

impl Collector for NodeCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let scrape = Scrape {
            state: Arc::clone(&self.state),
            now: Instant::now(),
            unix_s: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
            process: Process::now(),
        };
        all().map(|family| collected(family, &scrape)).collect()
    }
}

fn collected(family: &Family, scrape: &Scrape) -> MetricFamily {
    let mut collected = MetricFamily::default();
    collected.set_name(family.name.into());
    collected.set_help(family.help.into());
    collected.set_field_type(match family.kind {
        Kind::Counter => MetricType::COUNTER,
        Kind::Gauge => MetricType::GAUGE,
        Kind::Histogram => MetricType::HISTOGRAM,
    });
    collected.set_metric((family.read)(scrape).into_iter().map(|sample| metric(family, sample)).collect());
    collected
}

fn metric(family: &Family, Sample { labels, value }: Sample) -> Metric {
    debug_assert_eq!(labels.len(), family.labels.len(), "{}", family.name);
    let pairs = family.labels.iter().zip(labels).map(|(label, value)| {
        let mut pair = LabelPair::default();
        pair.set_name(label.name.into());
        pair.set_value(value);
        pair
    });
    let mut metric = Metric::from_label(pairs.collect());
    match value {
        Value::Histogram(distribution) => metric.set_histogram(histogram(&distribution)),
        Value::Number(number) if family.kind == Kind::Counter => {
            let mut counter = Counter::default();
            counter.set_value(number);
            metric.set_counter(counter);
        }
        Value::Number(number) => {
            let mut gauge = Gauge::default();
            gauge.set_value(number);
            metric.set_gauge(gauge);
        }
    }
    metric
}

fn histogram(distribution: &Distribution) -> Histogram {
    let (from_ns, to_ns) = BUCKET_ENDS_NS;
    let ends = distribution.cumulative(from_ns, to_ns, BUCKETS_PER_OCTAVE);
    let mut histogram = Histogram::default();
    histogram.set_bucket(
        ends.into_iter()
            .map(|(upper_ns, seen)| {
                let mut bucket = Bucket::default();
                bucket.set_upper_bound(upper_ns as f64 / 1e9);
                bucket.set_cumulative_count(seen);
                bucket
            })
            .collect(),
    );
    histogram.set_sample_count(distribution.count());
    histogram.set_sample_sum(distribution.sum_ns as f64 / 1e9);
    histogram
}
