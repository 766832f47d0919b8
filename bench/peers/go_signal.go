// Go: os/signal, a channel of capacity 1 per signal (argument "shared": one for all).
package main

import (
	"bufio"
	"fmt"
	"os"
	"os/signal"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

type record struct{ count, first int64 }

var (
	shared   chan os.Signal
	channels = map[syscall.Signal]chan os.Signal{}
	records  = map[syscall.Signal]*record{}
)

func monotonic() int64 { // the clock the driver reads
	var t syscall.Timespec
	syscall.Syscall(syscall.SYS_CLOCK_GETTIME, 1, uintptr(unsafe.Pointer(&t)), 0)
	return t.Nano()
}

func called(sig os.Signal) {
	one := records[sig.(syscall.Signal)]
	if one.count == 0 {
		one.first = monotonic()
	}
	one.count++
}

func on(sig syscall.Signal) {
	c := shared
	if c == nil {
		c = make(chan os.Signal, 1)
	}
	channels[sig] = c
	if records[sig] == nil {
		records[sig] = &record{}
	}
	signal.Notify(c, sig)
}

// What Stop() has put into the channel before it returned is taken as delivered.
func off(sig syscall.Signal) {
	c := channels[sig]
	signal.Stop(c)
	delete(channels, sig)
	select {
	case got := <-c:
		called(got)
	default:
	}
}

// Waits for a signal or the end of the time.
func turn(wait time.Duration) bool {
	cases := []reflect.SelectCase{{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(time.After(wait))}}
	for _, c := range channels {
		cases = append(cases, reflect.SelectCase{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(c)})
	}
	syscall.Getppid() // the mark
	chosen, got, _ := reflect.Select(cases)
	if chosen == 0 {
		return false
	}
	called(got.Interface().(os.Signal))
	return true
}

func turns(ms int, untilCalled bool) string {
	start := time.Now()
	limit := time.Duration(ms) * time.Millisecond
	for {
		got := turn(limit - time.Since(start))
		if got && untilCalled || time.Since(start) >= limit {
			break
		}
	}
	return fmt.Sprintf("%f", float64(time.Since(start))/1e6)
}

func obey(words []string) string {
	number := func(i int) int {
		n, _ := strconv.Atoi(words[i])
		return n
	}
	sig := func(i int) syscall.Signal { return syscall.Signal(number(i)) }
	switch words[0] {
	case "on":
		on(sig(1))
	case "off":
		off(sig(1))
	case "run":
		return turns(number(1), false)
	case "wait":
		return turns(number(1), true)
	case "count":
		return fmt.Sprint(records[sig(1)].count, " ", records[sig(1)].first)
	case "reset":
		for _, one := range records {
			*one = record{}
		}
	case "send":
		for i := 0; i < number(2); i++ {
			syscall.Kill(os.Getpid(), sig(1))
		}
	case "thread":
		tid := make(chan int)
		go func() {
			runtime.LockOSThread()
			tid <- syscall.Gettid()
			for {
				syscall.Syscall(syscall.SYS_PAUSE, 0, 0, 0)
			}
		}()
		return fmt.Sprint(<-tid)
	case "off_race":
		fmt.Println("ready")
		for start := time.Now(); time.Since(start) < time.Duration(number(2))*time.Microsecond; {
			turn(0)
		}
		off(sig(1))
	case "sleep":
		start := time.Now()
		time.Sleep(time.Duration(number(1)) * time.Millisecond)
		return fmt.Sprintf("%f", float64(time.Since(start))/1e6)
	default:
		return "no"
	}
	return "ok"
}

func main() {
	runtime.LockOSThread()
	if len(os.Args) > 1 && os.Args[1] == "version" {
		fmt.Println(runtime.Version())
		return
	}
	if len(os.Args) > 1 {
		shared = make(chan os.Signal, 1)
	}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		fmt.Println(obey(strings.Fields(lines.Text())))
	}
}
