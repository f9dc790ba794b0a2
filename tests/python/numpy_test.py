"""The Python package without TVM: NumPy alone, on what relay.build made. Environment: PANNIER_TEST_DATA, and as the package has it."""

import ctypes
import gc
import os
import pathlib
import pickle
import subprocess
import sys
import tempfile
import unittest

import numpy

import pannier

DATA = pathlib.Path(os.environ["PANNIER_TEST_DATA"])
HOST = DATA / "linux-x86_64" / "lib.so"


class Factory:
    """What relay.build returns, as far as export looks at it."""

    def __init__(self, params):
        self.params = params

    def get_lib(self):
        return self

    def get_graph_json(self):
        return (DATA / "graph.json").read_text()

    def get_params(self):
        return self.params

    def export_library(self, path):
        pathlib.Path(path).write_bytes(HOST.read_bytes())


class NumpyTest(unittest.TestCase):

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.model = pathlib.Path(self.folder.name, "model.so")

    def embedded(self, codec="store", **options):
        pannier.embed(HOST, self.model, graph=DATA / "graph.json", params=DATA / "params.bin", codec=codec, **options)
        return self.model

    def test_round_trip(self):
        for codec in ("store", "zstd", "planes", "auto"):
            with pannier.load(self.embedded(codec)) as bundle:
                self.assertEqual(bundle.path, str(self.model))
                self.assertTrue(bundle.is_loaded)
                self.assertEqual(bundle.graph_json, (DATA / "graph.json").read_text())
                self.assertEqual(bundle["params"].bytes(), (DATA / "params.bin").read_bytes())
                self.assertEqual(len(bundle.params), 6)
                self.assertNotEqual(bundle.symbol("tvmgen_default_fused_nn_softmax"), 0)
                self.assertEqual(len(bundle.image_digest), 64)
                for name, tensor in bundle.params.items():
                    self.assertEqual((tensor.name, tensor.dtype), (name, "float32"))
                    self.assertTrue(tensor.is_zero_copy or codec != "store")
                    self.assertEqual(tensor.numpy().tobytes(), tensor.tobytes())
                    self.assertEqual(tensor.numpy().shape, tensor.shape)

    def test_exported_arrays_come_back(self):
        generator = numpy.random.default_rng(1)
        arrays = {name: generator.integers(-100, 100, (3, 5)).astype(name)
                  for name in ("float64", "float32", "float16", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")}
        arrays |= {"bool": generator.integers(0, 2, 7).astype(bool), "scalar": numpy.float32(2.5), "empty": numpy.zeros((0, 4), "int32"),
                   "big-endian": arrays["float32"].astype(">f4"), "transposed": arrays["float32"].T, "é ñ": arrays["int8"]}
        pannier.export(Factory(arrays), self.model)
        bundle = pannier.load(self.model)
        self.assertEqual(list(bundle.params), list(arrays))
        for name, array in arrays.items():
            numpy.testing.assert_array_equal(bundle.params[name].numpy(), array, name)
        self.assertEqual(bundle.graph_json, (DATA / "graph.json").read_text())

    def test_factory(self):
        pannier.export(HOST, self.model, graph=DATA / "graph.json", params=DATA / "params.bin", as_factory=True, tvm="0.7")
        with pannier.load(self.model) as bundle:
            self.assertNotEqual(bundle.symbol("__tvm_dev_mblob"), 0)
            self.assertEqual(bundle.graph_json, (DATA / "graph.json").read_text())
            self.assertEqual(bundle["params"].bytes(), (DATA / "params.bin").read_bytes())
        with self.assertRaisesRegex(pannier.PannierError, "--codec store"):
            pannier.embed(HOST, self.model, graph=DATA / "graph.json", codec="zstd", as_factory=True, force=True)
        with self.assertRaisesRegex(pannier.PannierError, "--tvm: found 0.20"):
            pannier.embed(HOST, self.model, graph=DATA / "graph.json", tvm="0.20", as_factory=True, force=True)

    def test_other_types(self):
        import ml_dtypes

        array = numpy.arange(24).reshape(4, 6).astype(ml_dtypes.bfloat16)
        pannier.export(HOST, self.model, params={"b": array})
        tensor = pannier.load(self.model).params["b"]
        self.assertEqual(tensor.dtype, "bfloat16")
        self.assertEqual(tensor.numpy().dtype, array.dtype)
        numpy.testing.assert_array_equal(tensor.numpy(), array)
        with self.assertRaises(TypeError):
            pannier.export(HOST, self.model, params={"o": numpy.array([None])})

    def test_views_are_zero_copy_and_outlive_the_bundle(self):
        for codec in ("store", "zstd"):
            bundle = pannier.load(self.embedded(codec))
            tensor = bundle.params["p0"]
            view = numpy.asarray(tensor)
            other = numpy.from_dlpack(tensor)
            self.assertEqual(view.ctypes.data, tensor.data_ptr)
            self.assertEqual(other.ctypes.data, tensor.data_ptr)
            self.assertEqual(tensor.data_ptr % 64, 0)
            for array in (view, other):
                with self.assertRaises(ValueError):
                    array[...] = 0
            expected = view.sum()
            bundle.close()
            del bundle, tensor
            gc.collect()
            self.assertEqual(view.sum(), expected)
            self.assertEqual(other.sum(), expected)

    def test_capsules_that_nobody_takes(self):
        tensor = pannier.load(self.embedded()).params[0]
        for version in (None, (1, 0)):
            for _ in range(100):
                tensor.__dlpack__(max_version=version)
        gc.collect()
        from pannier import _dlpack

        self.assertFalse(_dlpack._alive)
        self.assertEqual(tensor.__dlpack_device__(), (1, 0))
        with self.assertRaises(BufferError):
            tensor.__dlpack__(dl_device=(2, 0))
        with self.assertRaises(BufferError):
            tensor.__dlpack__(copy=True)

    def test_mutable(self):
        bundle = pannier.load(self.embedded())
        tensor = bundle.params["p0"]
        before = tensor.numpy().copy()
        tensor.mutable().numpy()[...] = 7
        numpy.testing.assert_array_equal(tensor.numpy(), before)
        self.assertTrue((tensor.mutable().numpy() == 7).all())
        self.assertTrue((numpy.asarray(bundle.params["p0"].mutable()) == 7).all())

    def test_access(self):
        bundle = pannier.open(self.embedded("zstd"))
        self.assertFalse(bundle.is_loaded)
        params = bundle.params
        self.assertEqual(params[-1].name, list(params)[-1])
        self.assertIn("p0", params)
        self.assertNotIn("p99", params)
        with self.assertRaises(KeyError):
            params["p99"]
        with self.assertRaises(IndexError):
            params[6]
        self.assertEqual([artifact.name for artifact in bundle.artifacts], ["graph", "params"])
        self.assertIn("graph", bundle)
        bundle.decode_all()
        bundle.prefetch()
        bundle.check_digests()
        for closed in (lambda: pickle.dumps(bundle), lambda: pickle.dumps(params[0])):
            with self.assertRaises(TypeError):
                closed()
        bundle.close()
        with self.assertRaises(ValueError):
            bundle.params
        self.assertIn("closed", repr(bundle))

    def test_memory_and_errors(self):
        data = self.embedded("zstd").read_bytes()
        bundle = pannier.open_bytes(data, check=pannier.Check.FULL)
        self.assertEqual(bundle.graph_json, (DATA / "graph.json").read_text())
        for wrong, code in ((b"", pannier.ErrorCode.UNSUPPORTED), (data[:3000], pannier.ErrorCode.MALFORMED),
                            (b"\x7fELF" + bytes(100), pannier.ErrorCode.MALFORMED)):
            with self.assertRaises(pannier.PannierError) as caught:
                pannier.open_bytes(wrong)
            self.assertEqual(caught.exception.code, code)
        with self.assertRaises(pannier.PannierError) as caught:
            pannier.load("no/such/file.so")
        self.assertEqual(caught.exception.code, pannier.ErrorCode.IO)
        self.assertTrue(str(caught.exception).startswith("no/such/file.so: "))
        with self.assertRaises(pannier.PannierError) as caught:
            pannier.embed(DATA / "graph.json", self.model, graph=DATA / "graph.json")
        self.assertIn("graph.json: ", str(caught.exception))
        self.assertFalse([name for name in os.listdir(self.folder.name) if name.startswith(".")])

    def test_signatures(self):
        key, public = (str(pathlib.Path(self.folder.name, name)) for name in ("key.pem", "key.pub"))
        subprocess.run(["openssl", "genpkey", "-quiet", "-algorithm", "ed25519", "-out", key], check=True)
        subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-out", public], check=True)
        pem = pathlib.Path(public).read_text()
        with self.assertRaises(pannier.PannierError) as caught:
            pannier.load(self.embedded(), trusted_keys=[pem])
        self.assertEqual(caught.exception.code, pannier.ErrorCode.SIGNATURE)
        pannier.sign(self.model, key)
        self.assertTrue(pannier.verify(self.model, keys=[public])["passed"])
        self.assertEqual(pannier.load(self.model, trusted_keys=[pem]).graph_json, (DATA / "graph.json").read_text())
        self.assertEqual(len(pannier.inspect(self.model)["signed_by"]), 1)
        with self.assertRaises(pannier.PannierError):
            pannier.load(self.model, trusted_keys=[])
        with self.assertRaises(TypeError):
            pannier.load(self.model, trusted_keys=pem)
        data = bytearray(self.model.read_bytes())
        data[-20000] ^= 1
        self.model.write_bytes(data)
        self.assertFalse(pannier.verify(self.model)["passed"])
        with self.assertRaises(pannier.PannierError):
            pannier.load(self.model, trusted_keys=[pem])

    def test_files(self):
        self.embedded("auto", artifacts={"labels": DATA / "graph.json"})
        out = pathlib.Path(self.folder.name, "out")
        pannier.extract(self.model, out)
        self.assertEqual((out / "model.params").read_bytes(), (DATA / "params.bin").read_bytes())
        self.assertEqual((out / "labels").read_bytes(), (DATA / "graph.json").read_bytes())
        pannier.restore(self.model)
        self.assertEqual(self.model.read_bytes(), HOST.read_bytes())


if __name__ == "__main__":
    print(f"Python {sys.version.split()[0]}, NumPy {numpy.__version__}, loader {pannier.loader_version()}, {ctypes.sizeof(ctypes.c_void_p) * 8} bit")
    unittest.main()
