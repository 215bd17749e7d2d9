package rocketmq.tests;

import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** The command line: pairs of --name and value, each of which has a default or is required. */
final class Options {
    private final Map<String, String> given = new HashMap<>();

    Options(List<String> words, String... known) {
        for (int i = 0; i < words.size(); i += 2) {
            String name = words.get(i);
            if (!name.startsWith("--") || !List.of(known).contains(name.substring(2))) {
                throw new IllegalArgumentException("unknown option " + name + "; known: " + String.join(", ", known));
            }
            if (i + 1 == words.size()) {
                throw new IllegalArgumentException(name + " needs a value");
            }
            given.put(name.substring(2), words.get(i + 1));
        }
    }

    String text(String name, String otherwise) {
        return given.getOrDefault(name, otherwise);
    }

    String text(String name) {
        if (!given.containsKey(name)) {
            throw new IllegalArgumentException("--" + name + " is required");
        }
        return given.get(name);
    }

    int number(String name, int otherwise) {
        return Integer.parseInt(text(name, String.valueOf(otherwise)));
    }

    List<String> list(String name, String otherwise) {
        return List.of(text(name, otherwise).split(","));
    }
}
