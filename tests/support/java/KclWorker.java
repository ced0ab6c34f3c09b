import com.amazonaws.ClientConfiguration;
import com.amazonaws.auth.EnvironmentVariableCredentialsProvider;
import com.amazonaws.client.builder.AwsClientBuilder.EndpointConfiguration;
import com.amazonaws.services.dynamodbv2.AmazonDynamoDB;
import com.amazonaws.services.dynamodbv2.AmazonDynamoDBClientBuilder;
import com.amazonaws.services.dynamodbv2.model.AttributeValue;
import com.amazonaws.services.dynamodbv2.streamsadapter.AmazonDynamoDBStreamsAdapterClient;
import com.amazonaws.services.dynamodbv2.streamsadapter.model.RecordAdapter;
import com.amazonaws.services.kinesis.clientlibrary.interfaces.IRecordProcessorCheckpointer;
import com.amazonaws.services.kinesis.clientlibrary.interfaces.v2.IRecordProcessor;
import com.amazonaws.services.kinesis.clientlibrary.lib.worker.InitialPositionInStream;
import com.amazonaws.services.kinesis.clientlibrary.lib.worker.KinesisClientLibConfiguration;
import com.amazonaws.services.kinesis.clientlibrary.lib.worker.ShutdownReason;
import com.amazonaws.services.kinesis.clientlibrary.lib.worker.Worker;
import com.amazonaws.services.kinesis.clientlibrary.types.InitializationInput;
import com.amazonaws.services.kinesis.clientlibrary.types.ProcessRecordsInput;
import com.amazonaws.services.kinesis.clientlibrary.types.ShutdownInput;
import com.amazonaws.services.kinesis.metrics.impl.NullMetricsFactory;
import com.amazonaws.services.kinesis.model.Record;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/**
 * A worker on KCL 1.7.5, set up as dynamodb-cross-region-library 1.2.1 sets its own up, but for its fail-over time and
 * its poll of parents, which are arguments. Of each batch it writes the last image of every key, at most 50 at a time,
 * and saves one checkpoint when all are there; a write that fails ends the process. One line on stdout for each thing it
 * does; KCL's own log is on stderr.
 */
public final class KclWorker {
    private static final int WRITES_AT_ONCE = 50;

    public static void main(String[] arguments) {
        String url = arguments[0];
        String sourceRegion = arguments[1];
        String stream = arguments[2];
        String destinationRegion = arguments[3];
        String destinationTable = arguments[4];
        String task = arguments[5];
        long failoverMillis = Long.parseLong(arguments[6]);
        long parentPollMillis = Long.parseLong(arguments[7]);

        EnvironmentVariableCredentialsProvider credentials = new EnvironmentVariableCredentialsProvider();
        AmazonDynamoDBStreamsAdapterClient streams =
                new AmazonDynamoDBStreamsAdapterClient(credentials, new ClientConfiguration().withGzip(false));
        streams.setEndpoint(url);
        String me = "worker" + task + UUID.randomUUID();
        KinesisClientLibConfiguration configuration =
                new KinesisClientLibConfiguration(task, stream, credentials, me)
                        .withInitialPositionInStream(InitialPositionInStream.TRIM_HORIZON)
                        .withMaxRecords(1000)
                        .withIdleTimeBetweenReadsInMillis(500)
                        .withValidateSequenceNumberBeforeCheckpointing(false)
                        .withCleanupLeasesUponShardCompletion(true)
                        .withParentShardPollIntervalMillis(parentPollMillis)
                        .withFailoverTimeMillis(failoverMillis);
        AmazonDynamoDB destination = tables(url, destinationRegion, credentials);
        ExecutorService writers = Executors.newFixedThreadPool(WRITES_AT_ONCE);
        Worker worker = new Worker.Builder()
                .recordProcessorFactory((com.amazonaws.services.kinesis.clientlibrary.interfaces.v2.IRecordProcessorFactory)
                        () -> new Processor(destination, destinationTable, writers))
                .config(configuration)
                .kinesisClient(streams)
                .dynamoDBClient(tables(url, sourceRegion, credentials))
                .metricsFactory(new NullMetricsFactory())
                .build();
        say("worker " + me);
        worker.run();
    }

    private static AmazonDynamoDB tables(String url, String region, EnvironmentVariableCredentialsProvider credentials) {
        return AmazonDynamoDBClientBuilder.standard()
                .withCredentials(credentials)
                .withClientConfiguration(new ClientConfiguration().withMaxConnections(WRITES_AT_ONCE))
                .withEndpointConfiguration(new EndpointConfiguration(url, region))
                .build();
    }

    private static void say(String line) {
        System.out.println(System.currentTimeMillis() + " " + line);
        System.out.flush();
    }

    /** One tenure of one lease. */
    private static final class Processor implements IRecordProcessor {
        private final AmazonDynamoDB destination;
        private final String table;
        private final ExecutorService writers;
        private String shard;

        Processor(AmazonDynamoDB destination, String table, ExecutorService writers) {
            this.destination = destination;
            this.table = table;
            this.writers = writers;
        }

        @Override
        public void initialize(InitializationInput input) {
            shard = input.getShardId();
            say("begins " + shard + " " + input.getExtendedSequenceNumber().getSequenceNumber());
        }

        @Override
        public void processRecords(ProcessRecordsInput input) {
            Map<Map<String, AttributeValue>, com.amazonaws.services.dynamodbv2.model.Record> last = new LinkedHashMap<>();
            String sequence = "";
            for (Record record : input.getRecords()) {
                com.amazonaws.services.dynamodbv2.model.Record change = ((RecordAdapter) record).getInternalObject();
                last.put(change.getDynamodb().getKeys(), change);
                sequence = change.getDynamodb().getSequenceNumber();
            }
            if (last.isEmpty()) {
                return;
            }
            List<Future<?>> writes = new ArrayList<>();
            for (com.amazonaws.services.dynamodbv2.model.Record change : last.values()) {
                writes.add(writers.submit(() -> write(change)));
            }
            try {
                for (Future<?> write : writes) {
                    write.get();
                }
            } catch (Exception failure) {
                failure.printStackTrace();
                Runtime.getRuntime().halt(5);
            }
            say("wrote " + shard + " " + last.size() + " " + sequence);
            checkpoint(input.getCheckpointer());
        }

        @Override
        public void shutdown(ShutdownInput input) {
            say("ends " + shard + " " + input.getShutdownReason());
            if (input.getShutdownReason() == ShutdownReason.TERMINATE) {
                checkpoint(input.getCheckpointer());
            }
        }

        private void write(com.amazonaws.services.dynamodbv2.model.Record change) {
            if (change.getEventName().equals("REMOVE")) {
                destination.deleteItem(table, change.getDynamodb().getKeys());
            } else {
                destination.putItem(table, change.getDynamodb().getNewImage());
            }
        }

        private void checkpoint(IRecordProcessorCheckpointer checkpointer) {
            try {
                checkpointer.checkpoint();
            } catch (Exception failure) {
                say("checkpoint-failed " + shard + " " + failure);
            }
        }
    }
}
