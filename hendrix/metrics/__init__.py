"""What is counted, of all processes together, for Prometheus; and traces for OpenTelemetry."""
