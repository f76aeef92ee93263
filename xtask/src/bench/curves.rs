//! One picture of lines: a panel per circumstance, a line per contestant, from points that were measured.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use super::report::{Report, rounded};

const PANEL: (u32, u32) = (490, 330);
const TITLE_HEIGHT: u32 = 70;
const COLOURS: [RGBColor; 4] =
    [RGBColor(0, 114, 178), RGBColor(86, 180, 233), RGBColor(213, 94, 0), RGBColor(120, 120, 120)];

/// One point of one line.
#[derive(Clone, Debug, serde::Serialize)]
pub(crate) struct Point {
    pub(crate) panel: String,
    pub(crate) line: String,
    pub(crate) x: f64,
    pub(crate) y: f64,
}

/// Names of the axes.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub(crate) struct Axes {
    pub(crate) x: &'static str,
    pub(crate) y: &'static str,
}

/// Writes the picture of the report's points to `path`.
pub(crate) fn draw(report: &Report, axes: Axes, path: &Path) -> Result<()> {
    picture(report, axes, path).map_err(|error| anyhow!("cannot draw {}: {error}", path.display()))
}

fn picture(report: &Report, axes: Axes, path: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let panels = distinct(report.points.iter().map(|point| point.panel.as_str()));
    let lines = distinct(report.points.iter().map(|point| point.line.as_str()));
    let rows = (panels.len() as u32).div_ceil(2).max(1);
    let area = SVGBackend::new(path, (PANEL.0 * 2, TITLE_HEIGHT + rows * PANEL.1)).into_drawing_area();
    area.fill(&WHITE)?;
    let text = |size: i32| ("sans-serif", size).into_font().color(&BLACK);
    area.draw(&Text::new(report.title, (16, 14), text(20)))?;
    area.draw(&Text::new(report.machine.to_string(), (16, 42), text(12)))?;
    for (number, line) in lines.iter().enumerate() {
        let x = 330 + 165 * number as i32;
        area.draw(&PathElement::new(
            [(x, 22), (x + 20, 22)],
            COLOURS[number % COLOURS.len()].stroke_width(3),
        ))?;
        area.draw(&Text::new((*line).to_owned(), (x + 26, 16), text(12)))?;
    }
    let (_, below) = area.split_vertically(TITLE_HEIGHT);
    let most = |of: fn(&Point) -> f64| report.points.iter().map(of).fold(1.0, f64::max);
    let (x_max, y_max) = (most(|point| point.x), most(|point| point.y));
    for (panel, cell) in panels.iter().zip(below.split_evenly((rows as usize, 2))) {
        let mut chart = ChartBuilder::on(&cell)
            .caption(*panel, ("sans-serif", 14))
            .margin(12)
            .x_label_area_size(36)
            .y_label_area_size(56)
            .build_cartesian_2d(0.0..x_max * 1.02, 0.0..y_max * 1.05)?;
        let labels = |value: &f64| rounded(*value).trim_end_matches(".00").to_owned();
        chart
            .configure_mesh()
            .disable_mesh()
            .x_desc(axes.x)
            .y_desc(axes.y)
            .x_labels(5)
            .y_labels(5)
            .x_label_formatter(&labels)
            .y_label_formatter(&labels)
            .draw()?;
        for (number, line) in lines.iter().enumerate() {
            let of_line = report.points.iter().filter(|point| point.panel == *panel && point.line == *line);
            let mut points: Vec<(f64, f64)> = of_line.map(|point| (point.x, point.y)).collect();
            points.sort_by(|a, b| a.0.total_cmp(&b.0));
            let colour = COLOURS[number % COLOURS.len()];
            chart.draw_series(LineSeries::new(points.iter().copied(), colour.stroke_width(2)))?;
            chart.draw_series(points.into_iter().map(|point| Circle::new(point, 3, colour.filled())))?;
        }
    }
    area.present()?;
    Ok(())
}

/// Each name once, in the order in which they came.
fn distinct<'n>(names: impl Iterator<Item = &'n str>) -> Vec<&'n str> {
    let mut distinct = Vec::new();
    for name in names {
        if !distinct.contains(&name) {
            distinct.push(name);
        }
    }
    distinct
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_and_panel_appears_in_the_picture() {
        let mut report = Report::new("test", "Test", None);
        for (panel, line, x, y) in
            [("one", "ours", 0.0, 9.0), ("one", "theirs", 5.0, 1.0), ("two", "ours", 2.0, 3.0)]
        {
            report.points.push(Point { panel: panel.to_owned(), line: line.to_owned(), x, y });
        }
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("test.svg");
        draw(&report, Axes { x: "attack", y: "redirects" }, &path).unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        for word in ["one", "two", "ours", "theirs", "attack", "redirects"] {
            assert!(text.contains(word), "{word}");
        }
    }
}
