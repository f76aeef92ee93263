//! The loaded program with its tables.

use std::path::PathBuf;
use std::time::Duration;
use std::{fs, io};

use aya::programs::{ProgramError, TestRun, TestRunOptions, Xdp, XdpMode};
use aya::{Ebpf, EbpfLoader, VerifierLogLevel};
use aya_log::EbpfLogger;

use crate::object::LAYOUT;
use crate::{GuardError, Object, Pins, Tables};

const PROGRAM: &str = "guard";
/// What a guard is made from.
#[derive(Clone, Debug)]
pub struct GuardOptions {
    /// Where it is pinned.
    pub pins: Pins,
    /// A compiled program to use instead of the embedded one.
    pub object: Option<PathBuf>,
}

/// A program that the kernel has verified, with its tables pinned; attached or not.
///
/// Dropping it changes nothing in the kernel: what is attached stays attached, what is pinned stays pinned.
pub struct Guard {
    pub(crate) ebpf: Ebpf,
    pub(crate) pins: Pins,
    tables: Tables,
    logger: Option<EbpfLogger<&'static dyn log::Log>>,
    origin: String,
}

/// What the kernel says about the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramFacts {
    /// The kernel's number for it.
    pub id: u32,
    /// Hash of its instructions.
    pub tag: u64,
    /// Instructions that the verifier walked through; a million is its limit.
    pub verified_instructions: u32,
    /// Bytes of machine code.
    pub jited_bytes: u32,
    /// Where the object came from.
    pub origin: String,
}

impl Guard {
    /// Loads the program and makes, or finds again, its pinned tables. Nothing is attached yet, and a program that is
    /// attached goes on with the same tables.
    ///
    /// # Errors
    /// No object, a missing capability, no BPF file system, or a refusal of the kernel.
    pub fn load(options: &GuardOptions) -> Result<Self, GuardError> {
        let object = Object::find(options.object.as_deref())?;
        // Before anything is pinned that only this object could read.
        object.check()?;
        crate::preflight::may_load()?;
        options.pins.create()?;
        let mut loader = EbpfLoader::new();
        loader.verifier_log_level(VerifierLogLevel::STATS);
        for (name, _) in LAYOUT {
            loader.map_pin_path(name, options.pins.map(name));
        }
        let mut ebpf = loader.load(object.bytes())?;
        let logger = EbpfLogger::init(&mut ebpf).ok();
        xdp(&mut ebpf)?.load().map_err(refused)?;
        let mut tables = Tables::open(&options.pins)?;
        tables.inherit_bans(&options.pins)?;
        let origin = object.origin().to_owned();
        Ok(Self { ebpf, pins: options.pins.clone(), tables, logger, origin })
    }

    /// The tables.
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    /// The tables, to be changed.
    pub fn tables_mut(&mut self) -> &mut Tables {
        &mut self.tables
    }

    /// What the kernel says about the program.
    ///
    /// # Errors
    /// The kernel does not say.
    pub fn facts(&self) -> Result<ProgramFacts, GuardError> {
        let info = self.program()?.info()?;
        Ok(ProgramFacts {
            id: info.id(),
            tag: info.tag(),
            verified_instructions: info.verified_instruction_count().unwrap_or(0),
            jited_bytes: info.size_jitted(),
            origin: self.origin.clone(),
        })
    }

    /// Where its object came from.
    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    /// Passes the program's own messages (aya-log) to the `log` crate.
    pub fn flush_diagnostics(&mut self) {
        if let Some(logger) = &mut self.logger {
            logger.flush();
        }
    }

    /// Mean time per run of the program on a packet, as the kernel measures it; charges and counts like real packets.
    ///
    /// # Errors
    /// The kernel refuses the run.
    pub fn time(&self, frame: &[u8], repeat: u32) -> Result<Duration, GuardError> {
        let options = TestRunOptions { data_in: Some(frame), repeat, ..TestRunOptions::default() };
        Ok(self.program()?.test_run(options)?.duration)
    }

    /// Pins the program, so that other processes can ask it to explain; the newest one wins.
    pub(crate) fn pin_program(&mut self) -> Result<(), GuardError> {
        let path = self.pins.program();
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(GuardError::Pins { path, error });
            }
            _ => {}
        }
        xdp(&mut self.ebpf)?.pin(&path)?;
        self.pins.forget_earlier();
        Ok(())
    }

    pub(crate) fn program(&self) -> Result<&Xdp, GuardError> {
        let program = self.ebpf.program(PROGRAM).ok_or(GuardError::Incomplete("the program `guard`"))?;
        program.try_into().map_err(GuardError::Program)
    }
}

pub(crate) fn xdp(ebpf: &mut Ebpf) -> Result<&mut Xdp, GuardError> {
    let program = ebpf.program_mut(PROGRAM).ok_or(GuardError::Incomplete("the program `guard`"))?;
    program.try_into().map_err(GuardError::Program)
}

/// The mode that asks the driver.
pub(crate) const NATIVE: XdpMode = XdpMode::Driver;
/// The mode that asks the stack.
pub(crate) const GENERIC: XdpMode = XdpMode::Skb;

fn refused(error: ProgramError) -> GuardError {
    match error {
        ProgramError::LoadError { io_error, verifier_log } => {
            GuardError::Verifier(format!("{io_error}\n{verifier_log}"))
        }
        other => GuardError::Program(other),
    }
}
