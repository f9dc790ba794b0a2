"""The Python package with today's TVM: a Relax model compiled, exported as one library, loaded and run, against the three-file way."""

import pathlib
import subprocess
import tempfile
import unittest

import numpy
import tvm
from tvm import relax
from tvm.relax.frontend import nn

import pannier

WIDTH = 1024


class Model(nn.Module):

    def __init__(self):
        self.first = nn.Linear(WIDTH, 2 * WIDTH)
        self.second = nn.Linear(2 * WIDTH, 10)

    def forward(self, x):
        return self.second(nn.op.relu(self.first(x)))


class RelaxTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        generator = numpy.random.default_rng(0)
        module, names = Model().export_tvm(spec={"forward": {"x": nn.spec.Tensor((1, WIDTH), "float32")}})
        cls.executable = tvm.compile(module, target="llvm")
        cls.params = {name: (generator.standard_normal([int(extent) for extent in param.shape]) * 0.05).astype("float32") for name, param in names}
        cls.input = generator.standard_normal((1, WIDTH)).astype("float32")
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        library = str(pathlib.Path(cls.folder.name, "lib.so"))
        cls.executable.export_library(library)
        machine = relax.VirtualMachine(tvm.runtime.load_module(library), tvm.cpu())
        cls.expected = machine["forward"](tvm.runtime.tensor(cls.input), *map(tvm.runtime.tensor, cls.params.values())).numpy()

    def run_model(self, bundle):
        machine = bundle.virtual_machine()
        return machine["forward"](tvm.runtime.tensor(self.input), *bundle.relax_params("forward")).numpy()

    def test_one_file_equals_three(self):
        for codec in ("store", "auto"):
            model = pathlib.Path(self.folder.name, f"{codec}.so")
            pannier.export(self.executable, model, params={"forward": list(self.params.values())}, codec=codec)
            with pannier.load(model) as bundle:
                self.assertEqual(self.run_model(bundle).tobytes(), self.expected.tobytes())
                self.assertEqual(bundle.params[0].is_zero_copy, codec == "store")

    def test_params_are_what_tvm_reads(self):
        model = pathlib.Path(self.folder.name, "named.so")
        pannier.export(self.executable, model, params={name: tvm.runtime.tensor(value) for name, value in self.params.items()})
        with pannier.load(model) as bundle:
            read = tvm.runtime.load_param_dict(bundle["params"].bytes())
            self.assertEqual(set(read), set(self.params))
            for name, value in self.params.items():
                numpy.testing.assert_array_equal(read[name].numpy(), value)
                shared = tvm.runtime.from_dlpack(bundle.params[name].mutable())
                numpy.testing.assert_array_equal(shared.numpy(), value)

    def test_what_tvm_writes_is_kept_per_tensor(self):
        written = pathlib.Path(self.folder.name, "tvm.params")
        written.write_bytes(tvm.runtime.save_param_dict({name: tvm.runtime.tensor(value) for name, value in self.params.items()}))
        model = pathlib.Path(self.folder.name, "saved.so")
        pannier.export(self.executable, model, params=written)
        with pannier.load(model) as bundle:
            self.assertEqual(set(bundle.params), set(self.params))
            self.assertEqual(bundle["params"].bytes(), written.read_bytes())

    def test_trusted_keys(self):
        """What runs is what was checked, although TVM loads by a name."""
        model, key, public = (pathlib.Path(self.folder.name, name) for name in ("trusted.so", "key.pem", "key.pub"))
        subprocess.run(["openssl", "genpkey", "-quiet", "-algorithm", "ed25519", "-out", key], check=True)
        subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-out", public], check=True)
        pannier.export(self.executable, model, params={"forward": list(self.params.values())}, sign=key)
        bundle = pannier.load(model, trusted_keys=[public.read_text()])
        self.assertNotEqual(bundle.library_path, str(model))
        model.unlink()
        self.assertEqual(self.run_model(bundle).tobytes(), self.expected.tobytes())

    def test_the_bundle_is_still_the_library(self):
        model = pathlib.Path(self.folder.name, "plain.so")
        pannier.export(self.executable, model, params=self.params)
        machine = relax.VirtualMachine(tvm.runtime.load_module(str(model)), tvm.cpu())
        output = machine["forward"](tvm.runtime.tensor(self.input), *map(tvm.runtime.tensor, self.params.values())).numpy()
        self.assertEqual(output.tobytes(), self.expected.tobytes())


if __name__ == "__main__":
    print(f"TVM {tvm.__version__}")
    unittest.main()
