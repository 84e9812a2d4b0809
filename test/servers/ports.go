//go:build unix

package servers

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

// Ports from which the private servers choose: below 32768, where Linux begins to give out ports to outgoing
// connections, so that a server that was killed finds its port free again.
const (
	firstPort = 20000
	lastPort  = 32000
)

// reserved holds the UDP ports of the numbers that FreePorts has given out: what keeps them from its callers in other
// processes, such as the tests of another package, until this process ends.
var reserved struct {
	sync.Mutex
	ports []net.PacketConn
}

// FreePorts returns n different ports of 127.0.0.1 on which nothing listens, and which no other caller of FreePorts is
// given as long as this process lives. A program of somebody else may still be quicker to take one: whoever starts a
// server tries again with new ports.
func FreePorts(n int) ([]int, error) {
	ports := make([]int, 0, n)
	for range 50 * n {
		port := firstPort + rand.IntN(lastPort-firstPort)
		if !reserve(port) {
			continue
		}
		if ports = append(ports, port); len(ports) == n {
			return ports, nil
		}
	}
	return nil, fmt.Errorf("found no %d free ports between %d and %d", n, firstPort, lastPort)
}

func reserve(port int) bool {
	sign, err := net.ListenPacket("udp4", Address(port))
	if err != nil {
		return false
	}
	l, err := net.Listen("tcp4", Address(port))
	if err != nil {
		_ = sign.Close()
		return false
	}
	_ = l.Close()
	reserved.Lock()
	defer reserved.Unlock()
	reserved.ports = append(reserved.ports, sign)
	return true
}

// Address is the given port of 127.0.0.1 as host:port.
func Address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
