"""Fronts of finished models: what is measured, heard or seen, to numbers, with NumPy alone.

A front is fitted on the training part, ``front.fit(rows)``, travels with the model as JSON, and
``encode`` turns one raw example into ``float32``. What else one needs (kaldi-native-fbank for
sounds, Pillow for pictures of another size) is imported when it is used.

These files import nothing of ``recurra_runtime.vocabulary``, whose ``kinds`` knows them.
"""

from recurra_runtime.fronts.calendar import Calendar
from recurra_runtime.fronts.frequency import Frequency
from recurra_runtime.fronts.grid import BadStamp
from recurra_runtime.fronts.panel import Panel
from recurra_runtime.fronts.picture import Picture
from recurra_runtime.fronts.scales import Scale, ScaleKind, Scales, Transform
from recurra_runtime.fronts.series import Series
from recurra_runtime.fronts.sound import Framed, Sound, SoundStream
from recurra_runtime.fronts.times import Stamps, local, stamps, universal, zoned

__all__ = [
    "BadStamp",
    "Calendar",
    "Framed",
    "Frequency",
    "Panel",
    "Picture",
    "Scale",
    "ScaleKind",
    "Scales",
    "Series",
    "Sound",
    "SoundStream",
    "Stamps",
    "Transform",
    "local",
    "stamps",
    "universal",
    "zoned",
]
