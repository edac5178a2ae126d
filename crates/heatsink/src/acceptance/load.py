"""Keeps all GPUs busy, and prints one line that begins with `load: `."""

import ctypes
import threading

# The driver library is enough where neither PyTorch nor CuPy is installed: it compiles this kernel.
PTX = b"""
.version 6.0
.target sm_60
.address_size 64
.visible .entry burn(.param .u64 out, .param .u32 turns)
{
    .reg .f32 %f<6>;
    .reg .b32 %r<4>;
    .reg .b64 %d<2>;
    .reg .pred %p;
    ld.param.u64 %d0, [out];
    ld.param.u32 %r0, [turns];
    mov.u32 %r1, %tid.x;
    mov.u32 %r2, %ctaid.x;
    mov.u32 %r3, %ntid.x;
    mad.lo.u32 %r1, %r2, %r3, %r1;
    cvt.rn.f32.u32 %f0, %r1;
    mov.f32 %f1, %f0;
    mov.f32 %f2, %f0;
    mov.f32 %f3, %f0;
    mov.f32 %f4, 0f3F7FFF58;
    mov.f32 %f5, 0f3DCCCCCD;
again:
    fma.rn.f32 %f0, %f0, %f4, %f5;
    fma.rn.f32 %f1, %f1, %f4, %f5;
    fma.rn.f32 %f2, %f2, %f4, %f5;
    fma.rn.f32 %f3, %f3, %f4, %f5;
    sub.u32 %r0, %r0, 1;
    setp.ne.u32 %p, %r0, 0;
    @%p bra again;
    add.f32 %f0, %f0, %f1;
    add.f32 %f2, %f2, %f3;
    add.f32 %f0, %f0, %f2;
    mul.wide.u32 %d1, %r1, 4;
    add.u64 %d0, %d0, %d1;
    st.global.f32 [%d0], %f0;
    ret;
}
"""


def with_torch():
    import torch

    def work(gpu, started):
        with torch.cuda.device(gpu):
            a = torch.randn(8192, 8192, dtype=torch.float16, device="cuda")
            b = torch.empty_like(a)
            while True:
                for _ in range(20):
                    torch.matmul(a, a, out=b)
                torch.cuda.synchronize()
                started.set()

    return f"PyTorch {torch.__version__}", torch.cuda.device_count(), work


def with_cupy():
    import cupy

    def work(gpu, started):
        with cupy.cuda.Device(gpu):
            a = cupy.random.rand(8192, 8192, dtype=cupy.float32).astype(cupy.float16)
            while True:
                for _ in range(20):
                    b = cupy.matmul(a, a)
                cupy.cuda.Device(gpu).synchronize()
                started.set()

    return f"CuPy {cupy.__version__}", cupy.cuda.runtime.getDeviceCount(), work


def with_driver():
    cuda = ctypes.CDLL("libcuda.so.1")

    def call(name, *args):
        code = getattr(cuda, name)(*args)
        if code != 0:
            raise RuntimeError(f"{name}: CUDA error {code}")

    def work(gpu, started):
        device, context = ctypes.c_int(), ctypes.c_void_p()
        module, kernel = ctypes.c_void_p(), ctypes.c_void_p()
        memory = ctypes.c_uint64()
        half = 512 << 20
        call("cuDeviceGet", ctypes.byref(device), gpu)
        call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
        call("cuCtxSetCurrent", context)
        call("cuModuleLoadData", ctypes.byref(module), PTX)
        call("cuModuleGetFunction", ctypes.byref(kernel), module, b"burn")
        call("cuMemAlloc_v2", ctypes.byref(memory), ctypes.c_size_t(2 * half))
        turns = ctypes.c_uint32(200_000)
        arguments = (ctypes.c_void_p * 2)(
            ctypes.cast(ctypes.byref(memory), ctypes.c_void_p),
            ctypes.cast(ctypes.byref(turns), ctypes.c_void_p),
        )
        other = ctypes.c_uint64(memory.value + half)
        while True:
            for _ in range(4):
                call("cuLaunchKernel", kernel, 2048, 1, 1, 256, 1, 1, 0, None, arguments, None)
                call("cuMemcpyDtoDAsync_v2", other, memory, ctypes.c_size_t(half), None)
            call("cuCtxSynchronize")
            started.set()

    count = ctypes.c_int()
    call("cuInit", 0)
    call("cuDeviceGetCount", ctypes.byref(count))
    return "the CUDA driver library", count.value, work


def main():
    reasons = []
    for attempt in (with_torch, with_cupy, with_driver):
        try:
            name, count, work = attempt()
        except Exception as error:  # the next attempt may work
            reasons.append(f"{attempt.__name__}: {str(error).splitlines()[0]}")
            continue
        if count == 0:
            reasons.append(f"{attempt.__name__}: sees no GPU")
            continue
        started = [threading.Event() for _ in range(count)]
        for gpu in range(count):
            threading.Thread(target=work, args=(gpu, started[gpu]), daemon=True).start()
        if not all(event.wait(60) for event in started):
            print("load: not run (a GPU did not begin within 60 s)", flush=True)
            return
        print(f"load: {name} on {count} GPU(s)", flush=True)
        threading.Event().wait()
    print("load: not run (" + "; ".join(reasons) + ")", flush=True)


main()
