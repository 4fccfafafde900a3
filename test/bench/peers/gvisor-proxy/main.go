// A SOCKS5 proxy into a WireGuard tunnel the way wireproxy is built: wireguard-go, gVisor's TCP/IP and go-socks5 in one
// process without privileges. A peer of the proxy's benchmark and nothing else; see build.sh. Arguments: own address, MTU,
// port of the proxy on loopback. Standard input: the tunnel's settings in WireGuard's cross-platform format.
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync"

	socks5 "github.com/armon/go-socks5"
	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/tun"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

const (
	nic         = 1
	queueLength = 1024
)

// card is the network card between gVisor's stack and WireGuard.
type card struct {
	link   *channel.Endpoint
	stack  *stack.Stack
	mtu    int
	events chan tun.Event
	sent   chan *buffer.View
	once   sync.Once
}

func newCard(address string, mtu int) (*card, error) {
	own := net.ParseIP(address).To4()
	if own == nil {
		return nil, fmt.Errorf("%q is no IPv4 address", address)
	}
	s := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol},
	})
	sack := tcpip.TCPSACKEnabled(true)
	if err := s.SetTransportProtocolOption(tcp.ProtocolNumber, &sack); err != nil {
		return nil, fmt.Errorf("selective acknowledgements: %v", err)
	}
	c := &card{
		link:   channel.New(queueLength, uint32(mtu), ""),
		stack:  s,
		mtu:    mtu,
		events: make(chan tun.Event, 1),
		sent:   make(chan *buffer.View, queueLength),
	}
	c.link.AddNotify(c)
	if err := s.CreateNIC(nic, c.link); err != nil {
		return nil, fmt.Errorf("network card: %v", err)
	}
	protocolAddress := tcpip.ProtocolAddress{
		Protocol:          ipv4.ProtocolNumber,
		AddressWithPrefix: tcpip.AddrFromSlice(own).WithPrefix(),
	}
	if err := s.AddProtocolAddress(nic, protocolAddress, stack.AddressProperties{}); err != nil {
		return nil, fmt.Errorf("address: %v", err)
	}
	s.AddRoute(tcpip.Route{Destination: header.IPv4EmptySubnet, NIC: nic})
	c.events <- tun.EventUp
	return c, nil
}

// WriteNotify is called by the stack for each packet that it sends.
func (c *card) WriteNotify() {
	packet := c.link.Read()
	if packet == nil {
		return
	}
	view := packet.ToView()
	packet.DecRef()
	c.sent <- view
}

func (c *card) Read(bufs [][]byte, sizes []int, offset int) (int, error) {
	view, ok := <-c.sent
	if !ok {
		return 0, os.ErrClosed
	}
	count, err := view.Read(bufs[0][offset:])
	if err != nil {
		return 0, err
	}
	sizes[0] = count
	return 1, nil
}

func (c *card) Write(bufs [][]byte, offset int) (int, error) {
	for _, buf := range bufs {
		packet := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(buf[offset:])})
		c.link.InjectInbound(header.IPv4ProtocolNumber, packet)
		packet.DecRef()
	}
	return len(bufs), nil
}

func (c *card) File() *os.File           { return nil }
func (c *card) MTU() (int, error)        { return c.mtu, nil }
func (c *card) Name() (string, error)    { return "gvisor", nil }
func (c *card) Events() <-chan tun.Event { return c.events }
func (c *card) BatchSize() int           { return 1 }

func (c *card) Close() error {
	c.once.Do(func() {
		c.stack.RemoveNIC(nic)
		close(c.events)
	})
	return nil
}

func (c *card) dial(ctx context.Context, _, target string) (net.Conn, error) {
	to, err := net.ResolveTCPAddr("tcp4", target)
	if err != nil {
		return nil, err
	}
	full := tcpip.FullAddress{NIC: nic, Addr: tcpip.AddrFromSlice(to.IP.To4()), Port: uint16(to.Port)}
	return gonet.DialContextTCP(ctx, c.stack, full, ipv4.ProtocolNumber)
}

func run() error {
	if len(os.Args) != 4 {
		return fmt.Errorf("gvisor-proxy ADDRESS MTU PORT < settings")
	}
	mtu, err := strconv.Atoi(os.Args[2])
	if err != nil {
		return err
	}
	settings, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	c, err := newCard(os.Args[1], mtu)
	if err != nil {
		return err
	}
	wg := device.NewDevice(c, conn.NewDefaultBind(), device.NewLogger(device.LogLevelError, ""))
	if err := wg.IpcSet(string(settings)); err != nil {
		return err
	}
	if err := wg.Up(); err != nil {
		return err
	}
	server, err := socks5.New(&socks5.Config{Dial: c.dial})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Args[3])
	if err != nil {
		return err
	}
	fmt.Println("listening")
	return server.Serve(listener)
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
