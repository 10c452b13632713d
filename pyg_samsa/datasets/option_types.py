"""Options that several data sets take, each with one type, one help text and one range."""

from __future__ import annotations

import os
from typing import Annotated

from pyg_samsa.options import Option

Seed = Annotated[int, Option("Seed of random splits and of generated data; not that of the training.", low=0)]
Download = Annotated[bool, Option("Whether missing files are downloaded.")]
Folder = Annotated[
    str | os.PathLike[str] | None,
    Option("Folder of the official files; by default the folder raw in that of the data set."),
]
Source = Annotated[
    str, Option("Whether the data are generated or read from official files.", ("generated", "official"))
]
NumTrain = Annotated[int, Option("Number of generated training examples.", low=1, high=10**7)]
NumVal = Annotated[int, Option("Number of generated validation examples.", low=0, high=10**7)]
NumTest = Annotated[int, Option("Number of generated test examples.", low=0, high=10**7)]
MaxLength = Annotated[int, Option("Largest length of a sequence, in symbols.", low=1, high=10**6)]
TextUnit = Annotated[str, Option("What a symbol of a text is; the benchmark reads bytes.", ("bytes", "words"))]
NumPoints = Annotated[int, Option("Number of points of a cloud.", low=1, high=10**6)]
Normals = Annotated[
    bool | None, Option("Whether normals are features besides the coordinates; None takes them where they are.")
]
Rotated = Annotated[
    str, Option("Which clouds are rotated at random: none, those of the test split, or all.", ("none", "test", "all"))
]
Incomplete = Annotated[bool, Option("Whether files that the official lists name may be missing.")]
