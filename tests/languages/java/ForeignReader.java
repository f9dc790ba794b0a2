// A tensor of a bundle as a MemorySegment over the mapped file: Java 22 or later, by its own foreign function interface.
// Usage: java --enable-native-access=ALL-UNNAMED ForeignReader.java LOADER BUNDLE TENSOR SUM
import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;
import java.nio.file.Files;
import java.nio.file.Path;

final class ForeignReader implements AutoCloseable {
  // pannier_tensor on a machine of 64 bits: where its fields are.
  private static final long INDEX = 0, CODE = 24, BITS = 25, IS_ZERO_COPY = 52, NBYTES = 56, SIZE = 72;
  private static final long MESSAGE = 4, ERROR_SIZE = 516;

  private final Arena arena = Arena.ofConfined();
  private final SymbolLookup library;
  private final MemorySegment bundle;

  ForeignReader(String loader, String path) throws Throwable {
    library = SymbolLookup.libraryLookup(loader, arena);
    MemorySegment out = arena.allocate(ADDRESS);
    call("pannier_load", arena.allocateFrom(path), MemorySegment.NULL, out);
    bundle = out.get(ADDRESS, 0);
  }

  private MethodHandle function(String name, FunctionDescriptor type) {
    return Linker.nativeLinker().downcallHandle(library.find(name).orElseThrow(), type);
  }

  /** A function of the C interface whose arguments are pointers and size_t; its error becomes an exception. */
  private void call(String name, Object... arguments) throws Throwable {
    MemorySegment error = arena.allocate(ERROR_SIZE, 4);
    MemoryLayout[] types = new MemoryLayout[arguments.length + 1];
    Object[] values = new Object[types.length];
    for (int i = 0; i < types.length; i++) {
      values[i] = i < arguments.length ? arguments[i] : error;
      types[i] = values[i] instanceof Long ? JAVA_LONG : ADDRESS;
    }
    if ((int) function(name, FunctionDescriptor.of(JAVA_INT, types)).invokeWithArguments(values) != 0) {
      throw new IllegalStateException(error.getString(MESSAGE));
    }
  }

  /** The values, until close: the segment belongs to this reader's arena, so that a later use is refused, not a crash. */
  MemorySegment floats(String tensor) throws Throwable {
    MemorySegment facts = arena.allocate(SIZE, 8);
    call("pannier_tensor_by_name", bundle, arena.allocateFrom(tensor), facts);
    check(facts.get(JAVA_BYTE, CODE) == 2 && facts.get(JAVA_BYTE, BITS) == 32, "expected float32");
    check(facts.get(JAVA_INT, IS_ZERO_COPY) == 1, "expected a tensor that is stored as it is");
    MemorySegment out = arena.allocate(ADDRESS);
    call("pannier_tensor_data", bundle, facts.get(JAVA_LONG, INDEX), out);
    return out.get(ADDRESS, 0).reinterpret(facts.get(JAVA_LONG, NBYTES), arena, null).asReadOnly();
  }

  @Override
  public void close() {
    try {
      function("pannier_bundle_free", FunctionDescriptor.ofVoid(ADDRESS)).invokeWithArguments(bundle);
    } catch (Throwable cause) {
      throw new IllegalStateException(cause);
    }
    arena.close();
  }

  private static void check(boolean holds, String message) {
    if (!holds) throw new IllegalStateException(message);
  }

  private static boolean isMapped(long address, String path) throws Exception {
    return Files.readAllLines(Path.of("/proc/self/maps")).stream().filter(line -> line.endsWith(path)).map(line -> line.split("[- ]"))
        .anyMatch(range -> address >= Long.parseUnsignedLong(range[0], 16) && address < Long.parseUnsignedLong(range[1], 16));
  }

  public static void main(String[] words) throws Throwable {
    try (ForeignReader reader = new ForeignReader(words[0], words[1])) {
      MemorySegment values = reader.floats(words[2]);
      double sum = 0;
      for (long i = 0; i < values.byteSize() / 4; i++) sum += values.getAtIndex(JAVA_FLOAT, i);
      check(sum == Double.parseDouble(words[3]), "sum: found " + sum + ", expected " + words[3]);
      check(isMapped(values.address(), words[1]), "the values are not in the mapped file");
      System.out.println("java (FFM): " + words[2] + ": " + values.byteSize() / 4 + " values in the mapped file, sum " + sum);
    }
  }
}
