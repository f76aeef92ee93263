//! One picture per benchmark: a bar for every contestant in every case, with a whisker from the best to the worst round.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::report::{Better, Report, rounded};

const WIDTH: i32 = 980;
const LABELS_WIDTH: i32 = 330;
const VALUES_WIDTH: i32 = 120;
const BAR_HEIGHT: i32 = 20;
const HEADING_HEIGHT: i32 = 30;
const TITLE_HEIGHT: i32 = 70;

const OURS: RGBColor = RGBColor(0, 114, 178);
const THEIRS: RGBColor = RGBColor(170, 170, 170);

/// Writes the picture of `report` to `path`.
pub(crate) fn draw(report: &Report, path: &Path) -> Result<()> {
    picture(report, path).map_err(|error| anyhow!("cannot draw {}: {error}", path.display()))
}

type Drawn = Result<(), Box<dyn std::error::Error>>;

fn picture(report: &Report, path: &Path) -> Drawn {
    let panels = report.panels();
    let bars: usize = panels.iter().map(|(_, bars)| bars.len()).sum();
    let height = TITLE_HEIGHT + panels.len() as i32 * HEADING_HEIGHT + bars as i32 * BAR_HEIGHT + 20;
    let area = SVGBackend::new(path, (WIDTH as u32, height as u32)).into_drawing_area();
    area.fill(&WHITE)?;
    let text = |size: i32| ("sans-serif", size).into_font().color(&BLACK);
    area.draw(&Text::new(report.title, (16, 14), text(20)))?;
    area.draw(&Text::new(report.machine.to_string(), (16, 42), text(12)))?;
    let mut y = TITLE_HEIGHT;
    for ((case, metric), bars) in panels {
        let direction = match metric.better {
            Better::Less => " (less is better)",
            Better::More => " (more is better)",
            Better::Neither => "",
        };
        let heading = format!("{case}: {}, {}{direction}", metric.name, metric.unit);
        area.draw(&Text::new(heading, (16, y + 10), text(14)))?;
        y += HEADING_HEIGHT;
        let longest =
            bars.iter().filter_map(|bar| bar.summary).map(|summary| summary.max).fold(0.0, f64::max);
        for bar in bars {
            let right = text(12).pos(Pos::new(HPos::Right, VPos::Center));
            let middle = y + BAR_HEIGHT / 2;
            area.draw(&Text::new(bar.contestant.clone(), (LABELS_WIDTH - 8, middle), right))?;
            if let Some(summary) = bar.summary.filter(|_| longest > 0.0) {
                let room = f64::from(WIDTH - LABELS_WIDTH - VALUES_WIDTH);
                let x = |value: f64| LABELS_WIDTH + (value / longest * room) as i32;
                let colour = if bar.contestant.starts_with("carom") { OURS } else { THEIRS };
                let corners = [(LABELS_WIDTH, y + 3), (x(summary.median), y + BAR_HEIGHT - 3)];
                area.draw(&Rectangle::new(corners, colour.filled()))?;
                area.draw(&PathElement::new([(x(summary.min), middle), (x(summary.max), middle)], BLACK))?;
                let left = text(12).pos(Pos::new(HPos::Left, VPos::Center));
                let ratio = report.ratio(bar).map_or_else(String::new, |ratio| format!(" ({ratio:.2}×)"));
                let value = format!("{}{ratio}", rounded(summary.median));
                area.draw(&Text::new(value, (x(summary.max).max(x(summary.median)) + 8, middle), left))?;
            }
            y += BAR_HEIGHT;
        }
    }
    area.present()?;
    Ok(())
}
