import com.amazonaws.services.dynamodbv2.local.main.ServerRunner;
import com.amazonaws.services.dynamodbv2.local.shared.access.AmazonDynamoDBLocal;
import java.lang.reflect.Field;
import sun.misc.Unsafe;

/** DynamoDB Local whose streams keep records for so many milliseconds, the first argument, instead of a day. */
public final class ShortLived {
    public static void main(String[] arguments) throws Exception {
        Field field = Unsafe.class.getDeclaredField("theUnsafe");
        field.setAccessible(true);
        Unsafe unsafe = (Unsafe) field.get(null);
        long life = Long.parseLong(arguments[0]);
        for (String name : new String[] {"RECORD_SURVIVAL_DURATION", "SHARD_SURVIVAL_DURATION"}) {
            Field constant = AmazonDynamoDBLocal.class.getField(name);
            constant.get(null);
            unsafe.putLong(unsafe.staticFieldBase(constant), unsafe.staticFieldOffset(constant), life);
        }
        ServerRunner.main(java.util.Arrays.copyOfRange(arguments, 1, arguments.length));
    }
}
