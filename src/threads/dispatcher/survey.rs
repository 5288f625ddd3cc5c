//! The way to the dispatcher for main and for those who ask what it is doing. It answers at its next turn, without waiting for anybody,
//! and looks at the lanes at most four times a second whoever asks how often.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::{Control, Dispatcher};
use crate::domain::Millis;
use crate::domain::event::Body;
use crate::domain::lanes::Survey;
use crate::http::app::{NotAccepted, SurveyFn};
use crate::http::status::Asker;
use crate::runtime::bell::Bell;
use crate::runtime::clock;
use crate::runtime::post::Post;

/// Questions that are not answered yet, or whose answer nobody has taken; more are refused. A client of HTTP gets 503 then.
pub const ASKS_MAX: usize = 16;

/// An answer is given again for this long: a look at 100,000 lanes takes milliseconds, which the handlers would miss if it were taken
/// for each of many who ask.
const SURVEY_KEPT: Duration = Duration::from_millis(250);

/// The longest main waits for an answer before it goes on without; a dispatcher that makes progress takes a few milliseconds.
const MAIN_PATIENCE: Duration = Duration::from_millis(500);

/// A question.
#[derive(Debug)]
pub struct Ask {
    answer: AnswerTo,
    place: Place,
}

#[derive(Debug)]
enum AnswerTo {
    /// A client of HTTP waits; the pool's inbox has [`ASKS_MAX`] places for nothing else.
    Http(Asker, Sender<Surveyed>),
    /// Main waits.
    Main(Sender<Arc<Survey>>),
}

/// The answer to a client of HTTP.
#[derive(Debug)]
pub struct Surveyed {
    /// Who waits.
    pub asker: Asker,
    /// What the dispatcher saw.
    pub survey: Arc<Survey>,
    /// Free when the answer has been dealt with.
    _place: Place,
}

/// One of [`ASKS_MAX`] places, held by a question and then by its answer, so that neither queue is ever full.
#[derive(Debug)]
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The way to the dispatcher; cheap to clone.
#[derive(Debug, Clone)]
pub struct DispatcherLine {
    control: Post<Control>,
    taken: Arc<AtomicUsize>,
}

/// The line and the dispatcher's end of it; `bell` is the dispatcher's.
pub fn dispatcher_line(bell: &Bell) -> (DispatcherLine, Receiver<Control>) {
    // Room for every question and for the drain.
    let (control, receiver) = bounded(ASKS_MAX + 1);
    let line = DispatcherLine {
        control: Post::new(control, bell),
        taken: Arc::default(),
    };
    (line, receiver)
}

impl DispatcherLine {
    /// Tells it to drain. It may have gone by itself; then there is nothing to drain.
    pub fn drain(&self) {
        let _ = self.control.try_send(Control::Drain);
    }

    /// Asks for main, and waits a moment; `None` when the dispatcher has gone, or does not answer soon.
    pub fn survey(&self) -> Option<Arc<Survey>> {
        let (answer, survey) = bounded(1);
        self.ask(AnswerTo::Main(answer)).ok()?;
        survey.recv_timeout(MAIN_PATIENCE).ok()
    }

    /// The way from the routes to the dispatcher and back to the pool, without waiting.
    pub fn survey_through(self, pool: Sender<Surveyed>) -> SurveyFn {
        Box::new(move |asker| self.ask(AnswerTo::Http(asker, pool.clone())))
    }

    fn ask(&self, answer: AnswerTo) -> Result<(), NotAccepted> {
        let place = Place(Arc::clone(&self.taken));
        if self.taken.fetch_add(1, Ordering::SeqCst) >= ASKS_MAX {
            return Err(NotAccepted);
        }
        let ask = Control::Ask(Ask { answer, place });
        self.control.try_send(ask).map_err(|_| NotAccepted)
    }
}

/// The latest answer.
#[derive(Debug, Default)]
pub(super) struct LastSurvey(Option<Arc<Survey>>);

impl LastSurvey {
    fn fresh(&self, now: Millis) -> Option<Arc<Survey>> {
        let kept = clock::millis(SURVEY_KEPT);
        self.0
            .clone()
            .filter(|survey| now < survey.at.saturating_add(kept))
    }
}

impl Dispatcher {
    /// Answers one question; there is room for the answer, unless nobody wants it any more.
    pub(super) fn on_ask(&mut self, ask: Ask) {
        let now = clock::now();
        let survey = self.last_survey.fresh(now).unwrap_or_else(|| {
            let name = |body: &Body| body.event().map(|event| event.name().to_owned());
            let survey = Arc::new(self.lanes.survey(now, name));
            self.last_survey = LastSurvey(Some(Arc::clone(&survey)));
            survey
        });
        let Ask { answer, place } = ask;
        match answer {
            AnswerTo::Http(asker, pool) => {
                let _ = pool.try_send(Surveyed {
                    asker,
                    survey,
                    _place: place,
                });
            }
            AnswerTo::Main(answer) => {
                let _ = answer.try_send(survey);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::http::exchange::Token;

    fn asker(place: usize) -> Asker {
        Asker {
            token: Token {
                place,
                generation: 1,
            },
            correlation_id: "a".to_owned(),
            head_only: false,
        }
    }

    #[test]
    fn there_are_so_many_places_for_questions_and_answers_together_and_the_drain_always_fits() {
        let (line, control) = dispatcher_line(&Bell::default());
        let (pool, answers) = bounded(ASKS_MAX);
        let ask = line.clone().survey_through(pool);
        for number in 0..ASKS_MAX {
            assert_eq!(ask(asker(number)), Ok(()));
        }
        for _ in 0..3 {
            assert_eq!(ask(asker(99)), Err(NotAccepted));
            assert_eq!(line.survey(), None, "refused at once");
        }
        line.drain();
        let answer_one = || {
            let Ok(Control::Ask(Ask { answer, place })) = control.try_recv() else {
                panic!("a question");
            };
            let AnswerTo::Http(asker, pool) = answer else {
                panic!("of a client");
            };
            let survey = Arc::default();
            let answer = Surveyed {
                asker,
                survey,
                _place: place,
            };
            pool.try_send(answer).expect("there is room");
        };
        for _ in 0..ASKS_MAX {
            answer_one();
        }
        assert!(matches!(control.try_recv(), Ok(Control::Drain)));
        assert_eq!(
            ask(asker(99)),
            Err(NotAccepted),
            "the answers are not taken"
        );
        assert_eq!(answers.try_recv().expect("an answer").asker, asker(0));
        assert_eq!(ask(asker(99)), Ok(()));
        drop(control);
        drop(answers);
        assert_eq!(ask(asker(99)), Err(NotAccepted));
    }
}
