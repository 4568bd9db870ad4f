"""What an operator sees from outside: the figures of the processes, as Prometheus reads them."""
