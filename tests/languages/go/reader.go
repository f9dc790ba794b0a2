// A tensor of a bundle as a slice over the mapped file, in Go. Usage: reader BUNDLE TENSOR SUM; cgo reads pannier/pannier.h itself.
package main

/*
#cgo LDFLAGS: -lpannier_loader
#include <stdlib.h>
#include <pannier/pannier.h>
*/
import "C"

import (
	"errors"
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"
	"unsafe"
)

type bundle struct{ raw *C.pannier_bundle }

func failure(e *C.pannier_error) error { return errors.New(C.GoString(&e.message[0])) }

func load(path string) (*bundle, error) {
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	b := &bundle{}
	var e C.pannier_error
	if C.pannier_load(name, nil, &b.raw, &e) != C.PANNIER_OK {
		return nil, failure(&e)
	}
	return b, nil
}

func (b *bundle) close() { C.pannier_bundle_free(b.raw) }

// The values end with close. Go's garbage collector neither moves nor frees them, since they are not its own.
func (b *bundle) floats(tensor string) ([]float32, error) {
	name := C.CString(tensor)
	defer C.free(unsafe.Pointer(name))
	var facts C.pannier_tensor
	var e C.pannier_error
	if C.pannier_tensor_by_name(b.raw, name, &facts, &e) != C.PANNIER_OK {
		return nil, failure(&e)
	}
	if facts.dtype != (C.pannier_data_type{code: 2, bits: 32, lanes: 1}) || facts.is_zero_copy != 1 {
		return nil, fmt.Errorf("%s: found type %v, expected float32, stored as it is", tensor, facts.dtype)
	}
	var data unsafe.Pointer
	if C.pannier_tensor_data(b.raw, facts.index, &data, &e) != C.PANNIER_OK {
		return nil, failure(&e)
	}
	return unsafe.Slice((*float32)(data), int(facts.nbytes/4)), nil
}

func isMapped(address uint64, path string) bool {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		log.Fatal(err)
	}
	for _, line := range strings.Split(string(maps), "\n") {
		var first, last uint64
		if fmt.Sscanf(line, "%x-%x", &first, &last); strings.HasSuffix(line, path) && address >= first && address < last {
			return true
		}
	}
	return false
}

func main() {
	_, refused := load("/dev/null")
	if refused == nil {
		log.Fatal("/dev/null: found a bundle, expected none")
	}
	b, err := load(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	defer b.close()
	values, err := b.floats(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	sum := 0.0
	for _, value := range values {
		sum += float64(value)
	}
	if expected, err := strconv.ParseFloat(os.Args[3], 64); err != nil || sum != expected {
		log.Fatalf("sum: found %v, expected %s", sum, os.Args[3])
	}
	if !isMapped(uint64(uintptr(unsafe.Pointer(&values[0]))), os.Args[1]) {
		log.Fatal("the values are not in the mapped file")
	}
	fmt.Printf("go: %s: %d values in the mapped file, sum %v; refused: %v\n", os.Args[2], len(values), sum, refused)
}
