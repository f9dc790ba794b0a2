//! A tensor of a bundle as a slice over the mapped file, in Rust. Usage: reader BUNDLE TENSOR SUM; no crates, so rustc alone builds it.
use std::ffi::{CStr, CString};
use std::os::raw::{c_char, c_int, c_void}; // in std::ffi from Rust 1.64 on
use std::{env, fs, ptr, slice};

/// pannier_bundle, of which nothing is known.
type RawBundle = c_void;

#[repr(C)]
struct Error {
    code: c_int,
    message: [c_char; 512],
}

#[repr(C)]
#[derive(Clone, Copy, Default, PartialEq, Debug)]
struct DataType {
    code: u8,
    bits: u8,
    lanes: u16,
}

#[repr(C)]
struct TensorFacts {
    index: usize,
    name: *const c_char,
    name_length: usize,
    dtype: DataType,
    device: [i32; 2],
    shape: *const i64,
    ndim: i32,
    is_zero_copy: c_int,
    nbytes: usize,
    stored_bytes: usize,
}

#[link(name = "pannier_loader")]
extern "C" {
    fn pannier_load(path: *const c_char, options: *const c_void, bundle: *mut *mut RawBundle, error: *mut Error) -> c_int;
    fn pannier_bundle_free(bundle: *mut RawBundle);
    fn pannier_tensor_by_name(bundle: *const RawBundle, name: *const c_char, facts: *mut TensorFacts, error: *mut Error) -> c_int;
    fn pannier_tensor_data(bundle: *const RawBundle, index: usize, data: *mut *const c_void, error: *mut Error) -> c_int;
}

/// Calls a function of the C interface; its error becomes a String.
fn call(function: impl FnOnce(*mut Error) -> c_int) -> Result<(), String> {
    let mut error = Error { code: 0, message: [0; 512] };
    if function(&mut error) == 0 {
        return Ok(());
    }
    Err(unsafe { CStr::from_ptr(error.message.as_ptr()) }.to_string_lossy().into_owned())
}

struct Bundle(*mut RawBundle);

impl Bundle {
    fn load(path: &str) -> Result<Self, String> {
        let path = CString::new(path).map_err(|error| error.to_string())?;
        let mut bundle = ptr::null_mut();
        call(|error| unsafe { pannier_load(path.as_ptr(), ptr::null(), &mut bundle, error) })?;
        Ok(Bundle(bundle))
    }

    /// The values, borrowed from the bundle: the compiler keeps it alive for as long as they are used.
    fn floats(&self, name: &str) -> Result<&[f32], String> {
        let name = CString::new(name).map_err(|error| error.to_string())?;
        let mut facts: TensorFacts = unsafe { std::mem::zeroed() };
        call(|error| unsafe { pannier_tensor_by_name(self.0, name.as_ptr(), &mut facts, error) })?;
        assert_eq!(facts.dtype, DataType { code: 2, bits: 32, lanes: 1 }, "expected float32");
        assert_eq!(facts.is_zero_copy, 1, "expected a tensor that is stored as it is");
        let mut data = ptr::null();
        call(|error| unsafe { pannier_tensor_data(self.0, facts.index, &mut data, error) })?;
        Ok(unsafe { slice::from_raw_parts(data.cast(), facts.nbytes / 4) })
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        unsafe { pannier_bundle_free(self.0) }
    }
}

fn main() {
    let words: Vec<String> = env::args().collect();
    let refused = Bundle::load("/dev/null").err().expect("/dev/null is no bundle");
    let bundle = Bundle::load(&words[1]).unwrap();
    let values = bundle.floats(&words[2]).unwrap();
    let sum: f64 = values.iter().map(|&value| f64::from(value)).sum();
    assert_eq!(sum, words[3].parse::<f64>().unwrap());
    let address = values.as_ptr() as usize;
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let is_mapped = maps.lines().filter(|line| line.ends_with(&words[1])).any(|line| {
        let (first, last) = line.split(' ').next().unwrap().split_once('-').unwrap();
        (usize::from_str_radix(first, 16).unwrap()..usize::from_str_radix(last, 16).unwrap()).contains(&address)
    });
    assert!(is_mapped, "the values are not in the mapped file");
    println!("rust: {}: {} values in the mapped file, sum {sum}; refused: {refused}", words[2], values.len());
}
