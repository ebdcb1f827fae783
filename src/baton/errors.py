"""Everything Baton raises, one tree; each error carries its facts as fields.

BatonError
├── GraphError                  the caller's graph; nothing was written
│   ├── EmptyWorkflowError
│   ├── DuplicateStepError      step
│   ├── UnknownDependencyError  step, dependency, known
│   ├── StepNotAddedError       step, known
│   ├── UnknownOutputError      output, known
│   ├── SelfDependencyError     step
│   ├── BeforeError             step, target
│   ├── CycleError              path
│   ├── ForeignReferenceError   reference
│   ├── UnknownFieldError       reference, part (also an AttributeError)
│   ├── ReferenceTypeError      worker, argument, reference
│   └── ReferenceUseError       reference (also a TypeError)
├── InvalidNameError            kind, given, expected
├── InvalidArgumentError        argument, given, expected, subject (as the text calls it)
│   └── InvalidOptionError      option
├── InvalidArgsError            worker, given, problems
├── NotStorableError            what, problem (and where)
│   └── TooLargeError           size, limit (bytes)
├── WorkerError                 the definition or look-up of a worker
│   ├── UnknownWorkerError      worker, registered
│   └── DuplicateWorkerError    worker, given, registered (the two places)
├── StepError                   raised inside a step that asks for what it may not have
│   ├── UndeclaredDependencyError  step, dependency, declared
│   ├── NoResultError           step, dependency, state
│   ├── ResultTypeError         step, dependency, expected, problems
│   ├── UnresolvedReferenceError  step, dependency, path, problem
│   ├── StepTimeoutError        step, timeout (also a TimeoutError)
│   ├── StepTransactionError    step, problem
│   ├── WaitMismatchError       step, replay_key, given, stored
│   ├── WaitSwallowedError      step
│   └── WaitNotPossibleError    step, why
├── InvalidPayloadError         event, problems
├── MissingExtraError           extra, what
├── WorkflowFinishedError       workflow_id
├── WorkflowExistsError         workflow_id
├── WorkflowInsertedError       workflow_id, step
├── RetryError                  a retry or a fork that cannot be done; workflow_id
│   ├── NothingToRetryError     mode
│   ├── StepRunningError        steps
│   ├── FailedDependencyError   step, dependency, state
│   ├── GrownDependencyError    step, dependency
│   ├── DeletedJobError         steps
│   └── ForkUnsettledError      steps
├── BulkError                   an operation on many workflows; bulk_id
│   ├── UnknownBulkError
│   └── BulkStoppedError        error (which stopped it)
├── NoInputError                workflow_id (None: a job outside workflows)
├── NoOutputError               workflow_id
├── InputTypeError              expected, problems
├── UnknownRunError             workflow_id, run, latest
├── UnknownWorkflowError        workflow_id, pruned
├── UnknownStepError            workflow_id, step
├── StepSettledError            workflow_id, step, state
├── CompletionTimeoutError      workflow_id, timeout, unsettled, steps, queues, paused_at
│                               (a TimeoutError)
├── EngineError                 life cycle and settings of an engine
│   ├── NoEngineError           name, running, elsewhere (engines of other event loops)
│   ├── EngineStateError        state, expected, call
│   └── EventLoopError          what
└── DatabaseError               the database, its schema or a connection; sqlstate, __cause__
    ├── ConnectionTypeError     given
    ├── IsolationError          what
    ├── MissingRightError       problem (in the server's words)
    ├── SchemaMissingError      schema, found, expected, oban_schema, elsewhere
    ├── SchemaMismatchError     schema, problems
    ├── MigrationError          version, problem
    └── UnavailableError        what, timeout, refused (by the server, which answered), in_doubt
                                (the connection was lost under way: what was asked may be done)
"""

from baton.words.argument_errors import (
    InvalidArgsError,
    InvalidArgumentError,
    InvalidNameError,
    InvalidOptionError,
    MissingExtraError,
    NotStorableError,
    TooLargeError,
)
from baton.words.base_error import BatonError
from baton.words.database_errors import (
    ConnectionTypeError,
    DatabaseError,
    IsolationError,
    MissingRightError,
    UnavailableError,
)
from baton.words.engine_errors import EngineError, EngineStateError, EventLoopError, NoEngineError
from baton.words.graph_errors import (
    BeforeError,
    CycleError,
    DuplicateStepError,
    EmptyWorkflowError,
    GraphError,
    SelfDependencyError,
    StepNotAddedError,
    UnknownDependencyError,
    UnknownOutputError,
)
from baton.words.reference_errors import (
    ForeignReferenceError,
    ReferenceTypeError,
    ReferenceUseError,
    UnknownFieldError,
    UnresolvedReferenceError,
)
from baton.words.run_errors import (
    BulkError,
    BulkStoppedError,
    DeletedJobError,
    FailedDependencyError,
    ForkUnsettledError,
    GrownDependencyError,
    NothingToRetryError,
    RetryError,
    StepRunningError,
    UnknownBulkError,
)
from baton.words.schema_errors import MigrationError, SchemaMismatchError, SchemaMissingError
from baton.words.step_errors import (
    NoResultError,
    ResultTypeError,
    StepError,
    StepTimeoutError,
    StepTransactionError,
    UndeclaredDependencyError,
)
from baton.words.wait_errors import (
    InvalidPayloadError,
    WaitMismatchError,
    WaitNotPossibleError,
    WaitSwallowedError,
)
from baton.words.worker_errors import DuplicateWorkerError, UnknownWorkerError, WorkerError
from baton.words.workflow_errors import (
    CompletionTimeoutError,
    InputTypeError,
    NoInputError,
    NoOutputError,
    StepSettledError,
    UnknownRunError,
    UnknownStepError,
    UnknownWorkflowError,
    WorkflowExistsError,
    WorkflowFinishedError,
    WorkflowInsertedError,
)

__all__ = [
    "BatonError",
    "BeforeError",
    "BulkError",
    "BulkStoppedError",
    "CompletionTimeoutError",
    "ConnectionTypeError",
    "CycleError",
    "DatabaseError",
    "DeletedJobError",
    "DuplicateStepError",
    "DuplicateWorkerError",
    "EmptyWorkflowError",
    "EngineError",
    "EngineStateError",
    "EventLoopError",
    "FailedDependencyError",
    "ForeignReferenceError",
    "ForkUnsettledError",
    "GraphError",
    "GrownDependencyError",
    "InputTypeError",
    "InvalidArgsError",
    "InvalidArgumentError",
    "InvalidNameError",
    "InvalidOptionError",
    "InvalidPayloadError",
    "IsolationError",
    "MigrationError",
    "MissingExtraError",
    "MissingRightError",
    "NoEngineError",
    "NoInputError",
    "NoOutputError",
    "NoResultError",
    "NotStorableError",
    "NothingToRetryError",
    "ReferenceTypeError",
    "ReferenceUseError",
    "ResultTypeError",
    "RetryError",
    "SchemaMismatchError",
    "SchemaMissingError",
    "SelfDependencyError",
    "StepError",
    "StepNotAddedError",
    "StepRunningError",
    "StepSettledError",
    "StepTimeoutError",
    "StepTransactionError",
    "TooLargeError",
    "UnavailableError",
    "UndeclaredDependencyError",
    "UnknownBulkError",
    "UnknownDependencyError",
    "UnknownFieldError",
    "UnknownOutputError",
    "UnknownRunError",
    "UnknownStepError",
    "UnknownWorkerError",
    "UnknownWorkflowError",
    "UnresolvedReferenceError",
    "WaitMismatchError",
    "WaitNotPossibleError",
    "WaitSwallowedError",
    "WorkerError",
    "WorkflowExistsError",
    "WorkflowFinishedError",
    "WorkflowInsertedError",
]
