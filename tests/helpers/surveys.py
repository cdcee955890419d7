"""What machines of every kind have, as `edge-ser doctor` finds it."""

from dataclasses import replace

from edge_ser.host.nvidia import Driver, Gpu, TensorRt
from edge_ser.host.survey import Survey

ORIN = Gpu("Orin", (8, 7), 8_000_000_000)
BARE = Survey(Driver(trouble="no libcuda.so.1"), TensorRt(), None, "x86-vnni", ("avx512_vnni",))
GPU = replace(
    BARE, driver=Driver((12, 6), "540.4", (ORIN,)), tensorrt=TensorRt({"tensorrt": "10.3"})
)
RTX = TensorRt({"tensorrt_rtx": "1.7.1.116"}, {"tensorrt_rtx": 13})
BOTH = TensorRt({**RTX.modules, "tensorrt": "10.13"}, RTX.cuda)
