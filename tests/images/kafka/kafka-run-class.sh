#!/bin/sh
# shellcheck disable=SC2086 # the variables hold several words each
exec /opt/java/bin/java ${KAFKA_HEAP_OPTS:-} ${KAFKA_JVM_PERFORMANCE_OPTS:-} ${KAFKA_LOG4J_OPTS:-} ${KAFKA_OPTS:-} \
    -Djava.awt.headless=true -cp '/opt/kafka/libs/*' "$@"
