package rocketmq.tests;

import java.util.Map;
import java.util.TreeMap;

/** Counts by name, in all and per broker. */
final class Tally {
    private final Map<String, Long> total = new TreeMap<>();
    private final Map<String, Map<String, Long>> perBroker = new TreeMap<>();

    synchronized void add(String broker, String name) {
        total.merge(name, 1L, Long::sum);
        perBroker.computeIfAbsent(broker, b -> new TreeMap<>()).merge(name, 1L, Long::sum);
    }

    synchronized Map<String, Long> total() {
        return new TreeMap<>(total);
    }

    synchronized Map<String, Map<String, Long>> perBroker() {
        return new TreeMap<>(perBroker);
    }
}
