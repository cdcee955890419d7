"""The driver: what is said where there is none, and that its errors have names.

The library is a fake (see fake_gpu), except where none is to be found.
"""

import pytest
from helpers.fake_gpu import NO_DEVICE, OUT_OF_MEMORY, FakeLibrary, put

from edge_ser.errors import DeviceError
from edge_ser_runtimes.tensorrt import cuda


def test_a_machine_without_driver_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "edge_ser.host.nvidia_libraries.CUDA_NAMES", ("libno-such-driver.so.1", "libnone.so")
    )
    with pytest.raises(DeviceError) as error:
        cuda.Driver()
    assert str(error.value) == (
        "CUDA driver: expected libno-such-driver.so.1, found no such library; install NVIDIA's "
        "driver (JetPack brings it), or use --runtime onnx"
    )


def test_a_driver_that_does_not_start_is_named_by_its_error(gpu: FakeLibrary) -> None:
    gpu.fail["cuInit"] = NO_DEVICE
    with pytest.raises(DeviceError, match="cuInit gave CUDA_ERROR_NO_DEVICE; install NVIDIA's"):
        cuda.Driver()
    assert gpu.journal == ["cuInit", "cuGetErrorName"], "nothing is touched after that"
    gpu.fail["cuInit"] = 999
    with pytest.raises(DeviceError, match="cuInit gave error 999"):
        cuda.Driver()


def test_a_driver_without_a_function_is_too_old(gpu: FakeLibrary) -> None:
    gpu.missing.add("cuGraphInstantiateWithFlags")
    with pytest.raises(DeviceError, match=r"one with cuGraphInst.*11\.4.*update NVIDIA's driver"):
        cuda.Driver()
    assert gpu.journal == []


def test_a_driver_without_gpu(gpu: FakeLibrary, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeLibrary, "_cuDeviceGetCount", lambda self, where: put(where, 0))
    with pytest.raises(DeviceError, match="expected a GPU, found none"):
        cuda.Driver()


def test_what_the_driver_tells(gpu: FakeLibrary) -> None:
    driver = cuda.Driver()
    assert driver.version == (13, 0)
    device = cuda.Gpu(driver)
    assert (device.name, device.sm) == ("NVIDIA Fake 3060", "sm86")
    gpu.version = 12060
    assert cuda.Driver().version == (12, 6)


def test_memory_grows_and_is_given_back(gpu: FakeLibrary) -> None:
    device = cuda.Gpu(cuda.Driver())
    device.open()
    with device.current():
        assert device.memory() == (3 << 30, 4 << 30)
        buffer = cuda.Buffer(device)
        buffer.hold(100)
        first = buffer.address
        buffer.hold(60)
        assert buffer.address == first, "what is large enough is used again"
        buffer.hold(101)
        assert list(map(len, gpu.memory.values())) == [101], "the smaller piece is given back"
        gpu.fail["cuMemAlloc_v2"] = OUT_OF_MEMORY
        with pytest.raises(DeviceError, match=r"cuMemAlloc_v2 to succeed, found CUDA_ERROR_OUT_OF"
                           r"_MEMORY; use smaller batches or shorter audio"):  # fmt: skip
            buffer.hold(200)
        assert gpu.memory == {}
        buffer.free()
    device.close()
    device.close()
    assert gpu.retained == 0 and not gpu.alive


def test_a_recording_that_fails_leaves_the_stream_usable(gpu: FakeLibrary) -> None:
    device = cuda.Gpu(cuda.Driver())
    device.open()
    with device.current():
        graph = cuda.Graph(device)
        with pytest.raises(ZeroDivisionError), graph.record():
            raise ZeroDivisionError
        assert gpu.recording is None
        graph.free()
    device.close()
