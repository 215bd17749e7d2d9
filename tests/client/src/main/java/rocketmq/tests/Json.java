package rocketmq.tests;

import java.io.PrintStream;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.stream.Collectors;

/** Prints results, one JSON object a line, on the real standard output; whatever libraries print goes to standard error. */
final class Json {
    private static PrintStream out = System.out;

    private Json() {
    }

    /** From now on only {@link #print} writes to standard output. */
    static void ownStandardOutput() {
        out = System.out;
        System.setOut(System.err);
    }

    /** An object of alternating keys and values, in this order. */
    static Map<String, Object> object(Object... keysAndValues) {
        Map<String, Object> object = new LinkedHashMap<>();
        for (int i = 0; i < keysAndValues.length; i += 2) {
            object.put((String) keysAndValues[i], keysAndValues[i + 1]);
        }
        return object;
    }

    static synchronized void print(Map<String, ?> object) {
        out.println(text(object));
        out.flush();
    }

    private static String text(Object value) {
        if (value instanceof Map<?, ?> map) {
            return map.entrySet().stream().map(e -> quoted(e.getKey()) + ":" + text(e.getValue()))
                .collect(Collectors.joining(",", "{", "}"));
        }
        if (value instanceof Collection<?> list) {
            return list.stream().map(Json::text).collect(Collectors.joining(",", "[", "]"));
        }
        return value == null || value instanceof Number || value instanceof Boolean ? String.valueOf(value) : quoted(value);
    }

    private static String quoted(Object value) {
        StringBuilder quoted = new StringBuilder("\"");
        for (char c : String.valueOf(value).toCharArray()) {
            if (c == '"' || c == '\\') {
                quoted.append('\\').append(c);
            } else if (c < ' ') {
                quoted.append(String.format("\\u%04x", (int) c));
            } else {
                quoted.append(c);
            }
        }
        return quoted.append('"').toString();
    }
}
