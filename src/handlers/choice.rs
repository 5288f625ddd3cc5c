//! Which handler the configuration asks for. A further kind is one more arm here.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;

use super::Handler;
use super::command::CommandHandler;
use super::filter::Filtered;
use super::log::LogHandler;
use super::webhook::{WebhookError, WebhookHandler};
use crate::config::settings::{HandlerChoice, Settings};

/// Why there is no handler.
#[derive(Debug)]
pub enum ChoiceError {
    /// The configuration is wrong.
    Settings(WebhookError),
    /// The system refuses something now.
    System(io::Error),
}

impl fmt::Display for ChoiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Settings(error) => error.fmt(f),
            Self::System(_) => f.write_str("prepare for running commands"),
        }
    }
}

impl Error for ChoiceError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Settings(_) => None,
            Self::System(error) => Some(error),
        }
    }
}

/// The handler of the configuration, behind its filter.
///
/// # Errors
/// When its settings turn out wrong, or the system refuses what it needs.
pub fn chosen(settings: &Settings) -> Result<Arc<dyn Handler>, ChoiceError> {
    let handler: Arc<dyn Handler> = match &settings.handler.choice {
        HandlerChoice::Log => Arc::new(LogHandler),
        HandlerChoice::Webhook(webhook) => {
            Arc::new(WebhookHandler::new(webhook, settings).map_err(ChoiceError::Settings)?)
        }
        HandlerChoice::Command(line) => {
            Arc::new(CommandHandler::new(line, settings).map_err(ChoiceError::System)?)
        }
    };
    let in_this_process = matches!(settings.handler.choice, HandlerChoice::Log);
    Ok(filtered(handler, settings, in_this_process))
}

/// Any handler behind the filter of the configuration; programs outside get test events only when `EVENTS` names them.
pub fn filtered(
    handler: Arc<dyn Handler>,
    settings: &Settings,
    in_this_process: bool,
) -> Arc<dyn Handler> {
    let events = settings.handler.events.clone();
    Arc::new(Filtered::new(handler, events, in_this_process))
}
