"""What the REST interface takes and returns.

Imported only by `pyg_samsa.web.app` and its routes, after `pyg_samsa.web.server` has found pydantic.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from pyg_samsa.viz.tables import spread
from pyg_samsa.web.jobs import Job
from pyg_samsa.web.limits import Limits
from pyg_samsa.web.problems import encodable
from pyg_samsa.web.result_table import ResultColumn, ResultRow
from pyg_samsa.web.served_models import ServedModel

Confidence = Annotated[float, Field(gt=0, lt=1, description="Probability that an interval holds the true value.")]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Names = Annotated[list[str], Field(description="Names of models; empty for all.", max_length=100)]
MOST_AT_ONCE, LONGEST = 1_000, 10_000
_LARGEST = 1e100  # NaN, and integers that are no floats, are not below it


def _allow_null(schema: dict[str, Any]) -> None:
    """Say in the document that null is taken for what may be left out."""
    for name, about in schema["properties"].items():
        if name not in schema.get("required", ()) and {"type": "null"} not in about.get("anyOf", ()):
            kept = {key: about.pop(key) for key in list(about) if key not in ("title", "description", "default")}
            about["anyOf"] = [*kept.pop("anyOf", [kept]), {"type": "null"}]


def _encodable(value: Any, depth: int = 3) -> Any:
    """Return what is in a body with texts that can be written; what is nested deeper is refused later."""
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, list) and depth:
        return [_encodable(one, depth - 1) for one in value]
    if isinstance(value, dict) and depth:
        return {encodable(name): _encodable(one, depth - 1) for name, one in value.items()}
    return value


class Strict(BaseModel):
    """Base of what is taken: an unknown name is an error, and null means the default of what may be left out.

    Example:
        >>> PredictRequest(smiles=["C"], models=None, neighbors=None).neighbors
        0
        >>> PredictRequest(smiles=["C"], colour="red")
        Traceback (most recent call last):
        pydantic_core._pydantic_core.ValidationError: ...
    """

    model_config = ConfigDict(extra="forbid", json_schema_extra=_allow_null)

    @model_validator(mode="before")
    @classmethod
    def _read(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        needed = {name for name, about in cls.model_fields.items() if about.is_required()}
        known = cls.model_fields.keys() - needed
        return {name: value for name, value in _encodable(given).items() if value is not None or name not in known}


class Problem(BaseModel):
    """Why a request was refused.

    Example:
        >>> Problem(error="the file is empty", hint="Choose another one.").error
        'the file is empty'
    """

    error: str = Field(description="One line that names the culprit.")
    hint: str = Field(description="What can be done about it.", min_length=1)


class ModelInfo(BaseModel):
    """A model that is served."""

    name: str
    kind: Literal["regression", "binary", "multilabel", "multiclass"]
    targets: list[str] = Field(description="Names of the targets, or of the classes.")
    extra_columns: list[str] = Field(description="Columns of numbers that it needs beside the SMILES.")
    standardize: list[str] = Field([], description="Steps by which it standardises molecules before the prediction.")
    methods: list[str] = Field(description="Methods that colour atoms and bonds.")
    most_confidence: float = Field(description="Largest confidence of intervals; 0 if it has none.")
    training_molecules: int | None = Field(description="How many training molecules are known; null if none are.")
    without_training: str = Field(description="Why no training molecules are known; may be empty.")
    test: dict[str, str] = Field({}, description="Name of a metric -> its value on test molecules; may be empty.")
    limits: str = Field("", description="For which molecules the model was made; may be empty.")
    example: list[str] = Field([], description="Lines of SMILES and names to try; may be empty.")

    @classmethod
    def of(cls, model: ServedModel) -> ModelInfo:
        """Describe a model.

        Example:
            >>> from pathlib import Path
            >>> from pyg_samsa.web.served_models import load_models
            >>> model, = load_models(["peptides"], Path("unused"))
            >>> ModelInfo.of(model).kind
            'multilabel'
        """
        predictor = model.predictor
        return cls(
            name=model.name,
            kind=predictor.task.kind,  # type: ignore[arg-type]
            targets=predictor.target_names,
            extra_columns=list(predictor.extra_columns),
            standardize=list(predictor.standardize),
            methods=list(model.methods),
            most_confidence=model.most_confidence,
            training_molecules=None if model.training is None else len(model.training),
            without_training=model.without_training,
            test=_test_metrics(predictor.metrics),
            limits=predictor.limits,
            example=list(model.example),
        )


def _test_metrics(metrics: Mapping[str, Any]) -> dict[str, str]:
    """Return the test metrics of a model as texts, without the loss; what is no finite number is left out."""
    found = metrics.get("test")
    values = found.items() if isinstance(found, Mapping) else ()
    known = {str(name): value for name, value in values if isinstance(value, (int, float)) and name != "loss"}
    return {name: spread([value]) for name, value in known.items() if abs(value) < _LARGEST}


class LimitsInfo(BaseModel):
    """What the server accepts.

    Example:
        >>> LimitsInfo(**vars(Limits())).max_mb
        200
    """

    max_mb: int
    max_rows: int
    max_atoms: int
    max_minutes: int
    max_tables: int
    drawn_atoms: int


class Info(BaseModel):
    """The server."""

    version: str
    models: list[ModelInfo]
    limits: LimitsInfo

    @classmethod
    def of(cls, version: str, models: list[ServedModel], limits: Limits) -> Info:
        """Describe a server.

        Example:
            >>> from pathlib import Path
            >>> from pyg_samsa.web.served_models import load_models
            >>> model, = load_models(["peptides"], Path("unused"))
            >>> [one.name for one in Info.of("0.1.0", [model], Limits()).models]
            ['peptides']
        """
        return cls(version=version, models=list(map(ModelInfo.of, models)), limits=LimitsInfo(**vars(limits)))


class PredictRequest(Strict):
    """Molecules whose predictions are returned at once.

    Example:
        >>> PredictRequest(smiles=["CCO"]).models
        []
    """

    smiles: list[str | None] = Field(
        min_length=1,
        max_length=MOST_AT_ONCE,
        description="The molecules. null, and a text that is too long (ten characters for each allowed atom) or that "
        "is no molecule, get an error of their own.",
    )
    models: Names = []
    interval: Confidence | None = None
    extra_columns: dict[str, list[Finite | None]] = Field(
        {}, description="Name of a column -> a number for each molecule, null where it is unknown."
    )
    neighbors: Annotated[int, Field(ge=0, le=20, description="Nearest training molecules of each molecule.")] = 0


class NeighborInfo(BaseModel):
    """A similar molecule of the training.

    Example:
        >>> NeighborInfo(smiles="CCO", similarity=1.0, measured={"logS": "0.5"}).similarity
        1.0
    """

    smiles: str
    similarity: float = Field(description="Tanimoto similarity of Morgan fingerprints, from 0 to 1.")
    measured: dict[str, str] = Field(description="Name of a target -> what was measured.")


class Prediction(BaseModel):
    """The prediction of a model for a molecule.

    Example:
        >>> Prediction(model="esol", smiles="C(", values={}, error="RDKit cannot read this SMILES").low is None
        True
    """

    model: str
    smiles: str | None = Field(description="As it was given; the beginning of one that is too long.")
    values: dict[str, float] = Field(description="Name of a target or class -> value, or probability.")
    low: dict[str, float] | None = Field(None, description="Lower ends of the intervals.")
    high: dict[str, float] | None = Field(None, description="Upper ends of the intervals.")
    sets: dict[str, str] | None = Field(None, description="Sets of labels or classes, joined by |.")
    standardized: str = Field(
        "", description="SMILES of the molecule that was predicted, if the model standardised it to another one."
    )
    error: str = Field(description="Why there is no prediction; empty if there is one.")
    note: str = Field("", description="Why there are no intervals, if they were asked for; empty otherwise.")
    neighbors: list[NeighborInfo] = []


class TextRequest(Strict):
    """Pasted molecules, which become a table.

    Example:
        >>> TextRequest(text="CCO ethanol").neighbors
        True
    """

    text: str = Field(description="A SMILES in each line, and after a blank its name.")
    models: Names = []
    interval: Confidence | None = None
    extra_columns: dict[str, Finite] = Field({}, description="Name of a column -> its value for all molecules.")
    neighbors: bool = True


class ColumnInfo(BaseModel):
    """A column that the models add."""

    key: str = Field(description="What to sort and filter by.")
    title: str
    is_number: bool
    role: Literal["value", "spread", "low", "high", "set", "class", "standardized", "similarity", "nearest", "measured"]
    model: str
    target: str

    @classmethod
    def of(cls, column: ResultColumn) -> ColumnInfo:
        """Describe a column.

        Example:
            >>> ColumnInfo.of(ResultColumn("c0", "logS_pred", True, "value", "esol", "logS")).target
            'logS'
        """
        return cls(**column._asdict())


class JobInfo(BaseModel):
    """The prediction of a table."""

    id: str
    title: str
    state: Literal["waiting", "running", "done", "cancelled", "stopped", "failed"]
    models: list[str]
    rows: int = Field(description="Number of rows that are finished.")
    total: int | None = Field(description="About the number of rows of the table; null if it is not known.")
    errors: int = Field(description="Number of finished rows without a prediction.")
    seconds: float
    message: str = Field(description="Why it ended before the last row; may be empty.")
    hint: str = Field(description="What can be done about it; empty without a message.")
    notes: list[str]
    header: list[str] = Field(description="Names of the columns of the table.")
    columns: list[ColumnInfo]

    @classmethod
    def of(cls, job: Job) -> JobInfo:
        """Describe a job.

        Example:
            >>> import tempfile
            >>> from pathlib import Path
            >>> from pyg_samsa.web.result_table import ResultTable
            >>> folder = Path(tempfile.mkdtemp())
            >>> results = ResultTable(folder / "rows.db", [], ["smiles"])
            >>> JobInfo.of(Job("a1", "esol.csv", ["esol"], folder, results, 10)).state
            'waiting'
        """
        return cls(
            id=job.id,
            title=job.title,
            state=job.state,  # type: ignore[arg-type]
            models=job.models,
            rows=job.rows,
            total=job.total,
            errors=job.errors,
            seconds=round(job.seconds, 3),
            message=job.message,
            hint=job.hint,
            notes=job.notes,
            header=job.results.header,
            columns=list(map(ColumnInfo.of, job.results.columns)),
        )


class RowInfo(BaseModel):
    """A row of a table."""

    row: int
    name: str
    smiles: str
    error: str
    cells: list[str] = Field(description="The added columns as texts, in the order of the columns of the job.")
    numbers: list[float | None] = Field(description="The same as numbers; null for texts.")
    same_as: int | None = Field(
        None,
        description="Another row with the same molecule: the first one, or of the first one the second; null for none.",
    )

    @classmethod
    def of(cls, row: ResultRow) -> RowInfo:
        """Describe a row.

        Example:
            >>> RowInfo.of(ResultRow(1, "", "C", "", ["C"], ["0.5"], [0.5])).numbers
            [0.5]
        """
        numbers = [None if number is None or abs(number) == float("inf") else number for number in row.numbers]
        texts = {name: getattr(row, name) for name in ("row", "name", "smiles", "error", "cells", "same_as")}
        return cls(**texts, numbers=numbers)


class RowPage(BaseModel):
    """Some rows of a table.

    Example:
        >>> RowPage(count=0, rows=[]).count
        0
    """

    count: int = Field(description="Number of rows that the query shows.")
    rows: list[RowInfo]


class MethodInfo(BaseModel):
    """The colours of a method.

    Example:
        >>> MethodInfo(label="fall", scale="diverging", ends=["-1", "1"], strongest=[("C0", "1")]).scale
        'diverging'
    """

    label: str
    scale: Literal["sequential", "diverging"]
    ends: list[str] = Field(description="Both ends of the colour scale.")
    strongest: list[tuple[str, str]] = Field(description="The strongest atoms and bonds, and their scores.")


class ExplanationInfo(BaseModel):
    """A molecule with coloured atoms and bonds."""

    model: str
    target: str = Field(description="The explained prediction.")
    value: str
    atoms: int
    bonds: int
    svg: str = Field(description="The drawing; each method is a layer of the class of its name.")
    width: int = Field(description="Width in pixels below which letters are too small to read.")
    note: str = Field("", description="What the standardisation changed; empty if nothing.")
    methods: dict[str, MethodInfo]
