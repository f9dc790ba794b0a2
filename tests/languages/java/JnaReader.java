// A tensor of a bundle as a ByteBuffer over the mapped file: Java before 22, by JNA.
// Usage: java -cp jna.jar JnaReader.java LOADER BUNDLE TENSOR SUM
import com.sun.jna.Library;
import com.sun.jna.Memory;
import com.sun.jna.Native;
import com.sun.jna.Pointer;
import com.sun.jna.ptr.PointerByReference;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.file.Files;
import java.nio.file.Path;

final class JnaReader {
  interface Loader extends Library {
    int pannier_load(String path, Pointer options, PointerByReference bundle, Pointer error);

    void pannier_bundle_free(Pointer bundle);

    int pannier_tensor_by_name(Pointer bundle, String name, Pointer facts, Pointer error);

    int pannier_tensor_data(Pointer bundle, long index, PointerByReference data, Pointer error);
  }

  // pannier_tensor on a machine of 64 bits: where its fields are.
  private static final long INDEX = 0, CODE = 24, BITS = 25, IS_ZERO_COPY = 52, NBYTES = 56, SIZE = 72;
  private static final Memory ERROR = new Memory(516);

  private static void check(boolean holds, String message) {
    if (!holds) throw new IllegalStateException(message);
  }

  private static void succeed(int code) {
    check(code == 0, ERROR.getString(4));
  }

  private static boolean isMapped(long address, String path) throws Exception {
    return Files.readAllLines(Path.of("/proc/self/maps")).stream().filter(line -> line.endsWith(path)).map(line -> line.split("[- ]"))
        .anyMatch(range -> address >= Long.parseUnsignedLong(range[0], 16) && address < Long.parseUnsignedLong(range[1], 16));
  }

  public static void main(String[] words) throws Exception {
    Loader loader = Native.load(words[0], Loader.class);
    PointerByReference out = new PointerByReference();
    succeed(loader.pannier_load(words[1], null, out, ERROR));
    Pointer bundle = out.getValue();

    Memory facts = new Memory(SIZE);
    succeed(loader.pannier_tensor_by_name(bundle, words[2], facts, ERROR));
    check(facts.getByte(CODE) == 2 && facts.getByte(BITS) == 32, "expected float32");
    check(facts.getInt(IS_ZERO_COPY) == 1, "expected a tensor that is stored as it is");
    succeed(loader.pannier_tensor_data(bundle, facts.getLong(INDEX), out, ERROR));
    Pointer data = out.getValue();
    // The values, until pannier_bundle_free.
    FloatBuffer values = data.getByteBuffer(0, facts.getLong(NBYTES)).order(ByteOrder.nativeOrder()).asFloatBuffer().asReadOnlyBuffer();

    double sum = 0;
    while (values.hasRemaining()) sum += values.get();
    check(sum == Double.parseDouble(words[3]), "sum: found " + sum + ", expected " + words[3]);
    check(isMapped(Pointer.nativeValue(data), words[1]), "the values are not in the mapped file");
    System.out.println("java (JNA): " + words[2] + ": " + values.limit() + " values in the mapped file, sum " + sum);
    loader.pannier_bundle_free(bundle);
  }
}
