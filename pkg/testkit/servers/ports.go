//go:build unix

package servers

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// Ports from which the private servers choose: below 32768, where Linux begins to give out ports to outgoing connections, so
// that a server that was killed finds its port free again.
const (
	firstPort = 20000
	lastPort  = 32000
)

// FreePorts returns n different ports of 127.0.0.1 on which nothing listens. Another process may still be quicker to take one:
// whoever starts a server tries again with new ports.
func FreePorts(n int) ([]int, error) {
	ports := make([]int, 0, n)
	for range 50 * n {
		port := firstPort + rand.IntN(lastPort-firstPort)
		l, err := net.Listen("tcp4", Address(port))
		if err != nil {
			continue
		}
		defer l.Close() // all are held until the last one is found, so that they differ
		if ports = append(ports, port); len(ports) == n {
			return ports, nil
		}
	}
	return nil, fmt.Errorf("found no %d free ports between %d and %d", n, firstPort, lastPort)
}

// Address is the given port of 127.0.0.1 as host:port.
func Address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
