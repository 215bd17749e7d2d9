package rocketmq.tests;

import java.io.BufferedWriter;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Stream;

/**
 * The books of a ledger, plain files in one folder that producers and consumers share, of one line an entry:
 * {@code acked-PRODUCER} (epoch ms, message id, broker, queue), {@code refused-PRODUCER} (epoch ms, outcome), {@code done-PRODUCER}
 * (epoch ms) when it has ended, and {@code received-GROUP-CONSUMER} (message id). A message id is PRODUCER/TOPIC/NUMBER, the message's body.
 */
final class Ledger {
    private static final int SAMPLE = 10;

    private final Path folder;

    Ledger(Options options) throws IOException {
        folder = Files.createDirectories(Path.of(options.text("dir")));
    }

    static List<String> topics(Options options) {
        List<String> topics = new ArrayList<>();
        for (int i = 0; i < options.number("topics", 3); i++) {
            topics.add(options.text("prefix", "ledger") + "-" + i);
        }
        return topics;
    }

    /** A book that is open for writing. */
    static final class Book implements AutoCloseable {
        private final BufferedWriter writer;

        private Book(Path file) throws IOException {
            writer = Files.newBufferedWriter(file, StandardOpenOption.CREATE, StandardOpenOption.APPEND);
        }

        synchronized void write(Object... words) {
            try {
                for (Object word : words) {
                    writer.append(String.valueOf(word)).append(' ');
                }
                writer.append('\n');
                writer.flush();
            } catch (IOException e) {
                throw new java.io.UncheckedIOException(e);
            }
        }

        @Override
        public void close() throws IOException {
            writer.close();
        }
    }

    Book open(String kind, String name) throws IOException {
        return new Book(folder.resolve(kind + "-" + name));
    }

    List<String[]> read(String kind, String name) throws IOException {
        List<String[]> entries = new ArrayList<>();
        for (Path file : books(kind, name)) {
            try (Stream<String> lines = Files.lines(file)) {
                lines.forEach(line -> entries.add(line.split(" ")));
            }
        }
        return entries;
    }

    private List<Path> books(String kind, String name) throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.filter(file -> file.getFileName().toString().startsWith(kind + "-" + name)).sorted().toList();
        }
    }

    /** Whether there has been a producer and every one has ended. */
    boolean producersDone() throws IOException {
        int producers = books("acked", "").size();
        return producers > 0 && producers == books("done", "").size();
    }

    Set<String> acknowledged() throws IOException {
        Set<String> ids = new HashSet<>();
        read("acked", "").forEach(entry -> ids.add(entry[1]));
        return ids;
    }

    /** What producers got: acknowledged messages per queue, the longest time without one, other outcomes by name. */
    Map<String, Object> produced(String producer) throws IOException {
        List<Long> times = new ArrayList<>();
        Map<String, Map<String, Long>> queues = new TreeMap<>();
        for (String[] entry : read("acked", producer)) {
            times.add(Long.valueOf(entry[0]));
            String topic = entry[1].split("/")[1];
            queues.computeIfAbsent(topic, t -> new TreeMap<>()).merge(entry[2] + "/" + entry[3], 1L, Long::sum);
        }
        times.sort(null);
        // While producers run: the time after the last message counts, too.
        List<Long> moments = new ArrayList<>(times);
        for (String[] entry : times.isEmpty() ? List.<String[]>of() : read("done", producer)) {
            moments.add(Long.valueOf(entry[0]));
        }
        moments.sort(null);
        long longest = 0;
        long longestFrom = 0;
        for (int i = 1; i < moments.size(); i++) {
            if (moments.get(i) - moments.get(i - 1) > longest) {
                longestFrom = moments.get(i - 1);
                longest = moments.get(i) - longestFrom;
            }
        }
        Map<String, Long> refused = new TreeMap<>();
        read("refused", producer).forEach(entry -> refused.merge(entry[1], 1L, Long::sum));
        long spanMs = times.isEmpty() ? 0 : times.get(times.size() - 1) - times.get(0);
        return Json.object("acknowledged", times.size(), "refused", refused, "longestGapMs", longest, "longestGapFrom",
            longestFrom, "spanMs", spanMs, "perSecond", spanMs == 0 ? 0 : times.size() * 1000L / spanMs, "queues", queues);
    }

    /** Prints how the books compare, and returns 0 if every group has every acknowledged message. */
    static int verify(Options options) throws IOException {
        Ledger ledger = new Ledger(options);
        Set<String> acknowledged = ledger.acknowledged();
        Map<String, List<String>> received = new TreeMap<>();
        for (Path book : ledger.books("received", "")) {
            String name = book.getFileName().toString();
            String group = name.substring("received-".length(), name.lastIndexOf('-'));
            for (String line : Files.readAllLines(book)) {
                received.computeIfAbsent(group, g -> new ArrayList<>()).add(line.trim());
            }
        }
        Map<String, Object> groups = new TreeMap<>();
        boolean lost = received.isEmpty() || acknowledged.isEmpty();
        for (var each : received.entrySet()) {
            Set<String> distinct = new HashSet<>(each.getValue());
            List<String> missing = acknowledged.stream().filter(id -> !distinct.contains(id)).sorted().toList();
            lost |= !missing.isEmpty();
            groups.put(each.getKey(), Json.object("received", each.getValue().size(), "distinct", distinct.size(),
                "duplicates", each.getValue().size() - distinct.size(),
                "notAcknowledged", distinct.stream().filter(id -> !acknowledged.contains(id)).count(),
                "missing", missing.size(), "missingSample", missing.subList(0, Math.min(SAMPLE, missing.size()))));
        }
        Json.print(Json.object("command", "ledger verify", "complete", !lost, "groups", groups, "produced", ledger.produced("")));
        return lost ? 1 : 0;
    }
}
