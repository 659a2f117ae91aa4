//! A confirmation as PDF: one column on A4, laid out from top to bottom.
//!
//! The font comes with the program, because a server has none, and has all of Hangul: names of people and of shows are
//! written in it. What it has no glyph for is drawn as a box.

use krilla::Document;
use krilla::geom::{PathBuilder, Point, Rect};
use krilla::metadata::Metadata;
use krilla::page::PageSettings;
use krilla::surface::Surface;
use krilla::text::{Font, TextDirection};
use onrush_api::problem::{Kind, Problem};
use qrcode::Color;

use crate::routes::tickets::qr_code;

/// SIL Open Font License, see `edge/fonts/OFL.txt`.
static FONT: &[u8] = include_bytes!("../../../fonts/NanumSquareR.ttf");

/// A4 and its margin, in points.
const WIDTH: f32 = 595.0;
const HEIGHT: f32 = 842.0;
const MARGIN: f32 = 48.0;
/// The side of a QR code with the white around it: 4 cm, which a door's camera reads from an arm's length.
const QR: f32 = 113.0;
/// White modules that a QR code has around it (ISO/IEC 18004).
const QUIET: usize = 4;

/// What stands on a page.
enum Mark {
    Text { x: f32, y: f32, size: f32, text: String },
    Line { y: f32 },
    Code { y: f32, code: String },
}

/// Marks, page by page, and how far down the last page they go.
pub(super) struct Layout {
    pages: Vec<Vec<Mark>>,
    y: f32,
}

impl Layout {
    pub(super) fn new() -> Self {
        Self { pages: vec![Vec::new()], y: MARGIN }
    }

    /// Goes down by so much, on the next page where this one has no room for it; where that begins.
    fn advance(&mut self, height: f32) -> f32 {
        if self.y + height > HEIGHT - MARGIN {
            self.pages.push(Vec::new());
            self.y = MARGIN;
        }
        self.y += height;
        self.y - height
    }

    fn put(&mut self, mark: Mark) {
        self.pages.last_mut().expect("there is always a page").push(mark);
    }

    /// A paragraph, in as many lines as it needs.
    pub(super) fn text(&mut self, size: f32, text: &str) {
        for line in lines(text, (WIDTH - 2.0 * MARGIN) / size) {
            let y = self.advance(size * 1.5) + size;
            self.put(Mark::Text { x: MARGIN, y, size, text: line });
        }
    }

    /// A row of a table, each cell cut to its column.
    pub(super) fn row(&mut self, cells: [&str; 3]) {
        const SIZE: f32 = 10.0;
        const COLUMNS: [f32; 4] = [MARGIN, 260.0, 430.0, WIDTH - MARGIN];
        let y = self.advance(SIZE * 1.8);
        for (place, cell) in cells.into_iter().enumerate() {
            let room = (COLUMNS[place + 1] - COLUMNS[place]) / SIZE - 1.0;
            let text = lines(cell, room).into_iter().next().unwrap_or_default();
            self.put(Mark::Text { x: COLUMNS[place], y: y + SIZE, size: SIZE, text });
        }
        self.put(Mark::Line { y: y + SIZE * 1.5 });
    }

    pub(super) fn space(&mut self, height: f32) {
        self.y += height;
    }

    /// A ticket: its code, and what it is for beside it.
    pub(super) fn ticket(&mut self, code: &str, said: &[String]) {
        const SIZE: f32 = 12.0;
        let y = self.advance(QR);
        self.put(Mark::Code { y, code: code.to_owned() });
        for (place, line) in said.iter().enumerate() {
            let y = y + QR / 2.0 + SIZE * 1.5 * place as f32;
            self.put(Mark::Text { x: MARGIN + QR + SIZE, y, size: SIZE, text: line.clone() });
        }
    }

    /// The file.
    pub(super) fn finish(self, title: &str) -> Result<Vec<u8>, Problem> {
        let font = Font::new(FONT.into(), 0).expect("the font is part of the program");
        let mut document = Document::new();
        document.set_metadata(Metadata::new().title(title.to_owned()).producer("Onrush".to_owned()));
        for marks in &self.pages {
            let settings = PageSettings::from_wh(WIDTH, HEIGHT).expect("A4 has a size");
            let mut page = document.start_page_with(settings);
            let mut surface = page.surface();
            marks.iter().for_each(|mark| draw(&mut surface, &font, mark));
            surface.finish();
            page.finish();
        }
        document.finish().map_err(|error| {
            tracing::error!(?error, "a confirmation does not become a PDF");
            Problem::new(Kind::Internal)
        })
    }
}

fn draw(surface: &mut Surface<'_>, font: &Font, mark: &Mark) {
    match mark {
        Mark::Text { x, y, size, text } => {
            surface.draw_text(Point::from_xy(*x, *y), font.clone(), *size, text, false, TextDirection::Auto);
        }
        Mark::Line { y } => fill(surface, [Rect::from_xywh(MARGIN, *y, WIDTH - 2.0 * MARGIN, 0.5)]),
        Mark::Code { y, code } => fill(surface, modules(code, *y)),
    }
}

fn fill(surface: &mut Surface<'_>, rects: impl IntoIterator<Item = Option<Rect>>) {
    let mut path = PathBuilder::new();
    rects.into_iter().flatten().for_each(|rect| path.push_rect(rect));
    if let Some(path) = path.finish() {
        surface.draw_path(&path);
    }
}

/// The dark modules of a code. Those side by side in a row are one: thin white lines between them would be seen.
fn modules(code: &str, y: f32) -> Vec<Option<Rect>> {
    let code = qr_code(code);
    let (width, side) = (code.width(), QR / (code.width() + 2 * QUIET) as f32);
    let at = |place: usize| (place + QUIET) as f32 * side;
    let mut rects = Vec::new();
    for (row, colors) in code.to_colors().chunks(width).enumerate() {
        let mut column = 0;
        for run in colors.chunk_by(|one, other| one == other) {
            if run[0] == Color::Dark {
                rects.push(Rect::from_xywh(MARGIN + at(column), y + at(row), side * run.len() as f32, side));
            }
            column += run.len();
        }
    }
    rects
}

/// How wide a character is at most, in ems: Hangul, Kana and Hanja are as wide as they are high.
fn ems(char: char) -> f32 {
    if char < '\u{1100}' { 0.62 } else { 1.0 }
}

/// A text in lines of at most so many ems, broken at spaces where there are any.
fn lines(text: &str, room: f32) -> Vec<String> {
    let mut lines = Vec::new();
    let (mut line, mut used, mut space) = (String::new(), 0.0, None);
    for char in text.chars() {
        if used + ems(char) > room && !line.is_empty() {
            let rest = space.take().map_or(String::new(), |at| line.split_off(at));
            lines.push(line.trim_end().to_owned());
            line = rest.trim_start().to_owned();
            used = line.chars().map(ems).sum();
        }
        if char == ' ' {
            space = Some(line.len());
        }
        line.push(char);
        used += ems(char);
    }
    lines.push(line.trim_end().to_owned());
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_broken_at_spaces_and_where_there_are_none() {
        assert_eq!(lines("Swan Lake", 100.0), ["Swan Lake"]);
        assert_eq!(lines("백조의 호수", 4.0), ["백조의", "호수"]);
        assert_eq!(lines("가나다라마바사", 3.0), ["가나다", "라마바", "사"]);
        assert_eq!(lines("", 3.0), [""]);
    }

    #[test]
    fn what_does_not_fit_a_page_goes_to_the_next() {
        let mut layout = Layout::new();
        (0..6).for_each(|_| layout.ticket("onr1.x", &["A-1-1".to_owned()]));
        assert_eq!(layout.pages.len(), 1);
        layout.ticket("onr1.x", &[]);
        assert_eq!(layout.pages.len(), 2);
        let file = layout.finish("백조의 호수").unwrap();
        assert!(file.starts_with(b"%PDF-"));
    }
}
