"""A Relax model as one library, an input and the output that TVM's three-file way gives, as raw float32. usage: make_model.py FOLDER"""
import pathlib
import sys

import numpy
import tvm
from tvm import relax
from tvm.relax.frontend import nn

import pannier


class Model(nn.Module):

    def __init__(self):
        self.first = nn.Linear(512, 256)
        self.second = nn.Linear(256, 10)

    def forward(self, x):
        return self.second(nn.op.relu(self.first(x)))


folder = pathlib.Path(sys.argv[1])
generator = numpy.random.default_rng(3)
module, names = Model().export_tvm(spec={"forward": {"x": nn.spec.Tensor((1, 512), "float32")}})
executable = tvm.compile(module, target="llvm")
params = [(generator.standard_normal([int(extent) for extent in param.shape]) * 0.05).astype("float32") for _, param in names]
data = generator.standard_normal((1, 512)).astype("float32")
executable.export_library(str(folder / "lib.so"))
machine = relax.VirtualMachine(tvm.runtime.load_module(str(folder / "lib.so")), tvm.cpu())
output = machine["forward"](tvm.runtime.tensor(data), *map(tvm.runtime.tensor, params)).numpy()
data.tofile(folder / "input.bin")
output.tofile(folder / "output.bin")
for codec in ("store", "auto"):
    pannier.export(executable, folder / f"{codec}.so", params={"forward": params}, codec=codec)
