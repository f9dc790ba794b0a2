"""The Conan 2 recipe of pannier, of the checkout that it lies in: conan create packaging/conan."""

import os

from conan import ConanFile
from conan.tools.build import check_min_cppstd
from conan.tools.cmake import CMake, CMakeDeps, CMakeToolchain, cmake_layout
from conan.tools.files import copy, rmdir

required_conan_version = ">=2.0"


class PannierRecipe(ConanFile):
    name = "pannier"
    version = "0.1.0"
    license = "Apache-2.0"
    description = "Reads a TVM model's graph and parameters out of its compiled library"
    topics = ("tvm", "machine-learning", "deployment")
    package_type = "library"
    settings = "os", "arch", "compiler", "build_type"
    # The embedder needs LIEF, which it builds from source where there is none (PANNIER_BUILD_LIEF).
    options = {
        "shared": [True, False],
        "fPIC": [True, False],
        "signatures": [True, False],
        "embedder": [True, False],
        "system_libraries": [True, False],
    }
    default_options = {"shared": False, "fPIC": True, "signatures": False, "embedder": False, "system_libraries": False}
    implements = ["auto_shared_fpic"]

    def export_sources(self) -> None:
        root = os.path.join(self.recipe_folder, "..", "..")
        for pattern in ("CMakeLists.txt", "LICENSE", "cmake/*", "embedder/*", "include/*", "loader/*", "src/*"):
            copy(self, pattern, root, self.export_sources_folder)

    def validate(self) -> None:
        check_min_cppstd(self, 20 if self.options.embedder else 17)

    def layout(self) -> None:
        cmake_layout(self)

    def requirements(self) -> None:
        if self.options.system_libraries:
            return
        self.requires("zstd/[>=1.4 <1.6]")
        self.requires("flatbuffers/[>=2.0]", visible=False)
        if self.options.signatures or self.options.embedder:
            self.requires("openssl/[>=3.0 <4]")
        if self.options.embedder:
            for reference in ("fmt/[>=9]", "cli11/[>=2.1]", "nlohmann_json/[>=3.10]"):
                self.requires(reference, visible=False)

    def build_requirements(self) -> None:
        if not self.options.system_libraries:
            self.tool_requires("flatbuffers/<host_version>")

    def generate(self) -> None:
        CMakeDeps(self).generate()
        toolchain = CMakeToolchain(self)
        toolchain.cache_variables["PANNIER_BUILD_EMBEDDER"] = bool(self.options.embedder)
        toolchain.cache_variables["PANNIER_BUILD_LIEF"] = bool(self.options.embedder)
        toolchain.cache_variables["PANNIER_BUILD_TESTS"] = False
        toolchain.cache_variables["PANNIER_SIGNATURES"] = bool(self.options.signatures)
        toolchain.generate()

    def build(self) -> None:
        cmake = CMake(self)
        cmake.configure()
        cmake.build()

    def package(self) -> None:
        CMake(self).install()
        copy(self, "LICENSE", self.source_folder, os.path.join(self.package_folder, "licenses"))
        # CMakeDeps makes them anew for whoever uses the package.
        rmdir(self, os.path.join(self.package_folder, "lib", "cmake"))
        rmdir(self, os.path.join(self.package_folder, "lib", "pkgconfig"))

    def package_info(self) -> None:
        self.cpp_info.libs = ["pannier_loader"]
        self.cpp_info.set_property("cmake_file_name", "pannier")
        self.cpp_info.set_property("cmake_target_name", "pannier::loader")
        if self.options.shared:
            self.cpp_info.defines = ["PANNIER_USING_SHARED"]
        else:
            if self.settings.os in ("Linux", "FreeBSD"):
                self.cpp_info.system_libs = ["pthread", "dl"]
            if self.options.system_libraries:
                self.cpp_info.system_libs += ["zstd"] + (["crypto"] if self.options.signatures else [])
