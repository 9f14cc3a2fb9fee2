package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"
)

const (
	// How long a host may take to answer with the finished machine or disk: the figure of Holdfast.
	answerWithin = 2 * time.Second
	// What an answer may take beyond that.
	margin      = 10 * time.Second
	silence     = 15 * time.Second
	maxLineSize = 1 << 20
)

// What is ordered and what is told, as the contract of the agent has it.
type (
	decisionRef struct {
		ID      string   `json:"id"`
		Epoch   int64    `json:"epoch"`
		Follows []string `json:"follows"`
	}
	diskRef struct {
		ID      string `json:"id"`
		Storage string `json:"storage"`
	}
	desiredMachine struct {
		ID                 string      `json:"id"`
		Name               string      `json:"name"`
		Decision           decisionRef `json:"decision"`
		Power              string      `json:"power"`
		CPUs               int32       `json:"cpus"`
		MemoryBytes        int64       `json:"memoryBytes"`
		MachineType        string      `json:"machineType"`
		MACs               []string    `json:"macs"`
		Disks              []diskRef   `json:"disks"`
		Restart            string      `json:"restart"`
		GracePeriodSeconds int32       `json:"gracePeriodSeconds"`
	}
	observedMachine struct {
		ID       string      `json:"id"`
		Name     string      `json:"name"`
		Decision decisionRef `json:"decision"`
		State    string      `json:"state"`
		Revision int64       `json:"revision"`
	}
	imageFile struct {
		Path   string `json:"path,omitempty"`
		Format string `json:"format"`
		SHA256 string `json:"sha256"`
	}
	desiredDisk struct {
		ID        string    `json:"id"`
		Storage   string    `json:"storage"`
		SizeBytes int64     `json:"sizeBytes"`
		Image     imageFile `json:"image"`
	}
	observedDisk struct {
		State     string `json:"state"`
		SizeBytes int64  `json:"sizeBytes"`
	}
	agentEvent struct {
		Type    string          `json:"type"`
		Machine observedMachine `json:"machine"`
	}
	agentError struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
)

func (e *agentError) Error() string { return e.Code + ": " + e.Message }

// How the agents of all hosts are called.
type caller struct {
	certificates []tls.Certificate
	authorities  *x509.CertPool
	sessions     tls.ClientSessionCache
	term         string
	startedAt    time.Time
}

func newCaller(ca, certificate, key string, term int) (*caller, error) {
	pair, err := tls.LoadX509KeyPair(certificate, key)
	if err != nil {
		return nil, err
	}
	pem, err := os.ReadFile(ca)
	if err != nil {
		return nil, err
	}
	authorities := x509.NewCertPool()
	if !authorities.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s has no certificate", ca)
	}
	return &caller{
		certificates: []tls.Certificate{pair},
		authorities:  authorities,
		sessions:     tls.NewLRUClientSessionCache(0),
		term:         strconv.Itoa(term),
		startedAt:    time.Now(),
	}, nil
}

// The agent of one host.
type agent struct {
	*caller
	base   string
	client *http.Client
}

func (c *caller) connect(hostName, address string, port int32) *agent {
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{
			Certificates:       c.certificates,
			RootCAs:            c.authorities,
			ServerName:         hostName, // The certificate is for the name of the host, whatever its address is.
			ClientSessionCache: c.sessions,
		},
		DialContext: (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		// With the default of two, most of fifty workers would shake hands anew for each call.
		MaxIdleConnsPerHost: 64,
		IdleConnTimeout:     time.Minute,
	}
	return &agent{caller: c, base: baseOf(address, port), client: &http.Client{Transport: transport}}
}

func baseOf(address string, port int32) string {
	return "https://" + net.JoinHostPort(address, strconv.Itoa(int(port)))
}

func (a *agent) putDisk(ctx context.Context, disk desiredDisk) (observed observedDisk, err error) {
	err = a.put(ctx, "/v1/disks/"+url.PathEscape(disk.ID), disk, &observed)
	return observed, err
}

func (a *agent) putMachine(ctx context.Context, machine desiredMachine) (observed observedMachine, err error) {
	err = a.put(ctx, "/v1/machines/"+url.PathEscape(machine.ID), machine, &observed)
	return observed, err
}

func (a *agent) put(ctx context.Context, path string, body, answer any) error {
	content, err := json.Marshal(body)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, answerWithin+margin)
	defer cancel()
	target := fmt.Sprintf("%s%s?waitMs=%d", a.base, path, answerWithin.Milliseconds())
	request, err := http.NewRequestWithContext(ctx, http.MethodPut, target, bytes.NewReader(content))
	if err != nil {
		return err
	}
	request.Header.Set("content-type", "application/json")
	response, err := a.send(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	// To its end, or the connection is not used again.
	told, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	return json.Unmarshal(told, answer)
}

func (a *agent) send(request *http.Request) (*http.Response, error) {
	request.Header.Set("holdfast-term", a.term)
	request.Header.Set("holdfast-sequence", strconv.FormatInt(time.Since(a.startedAt).Microseconds(), 10))
	response, err := a.client.Do(request)
	if err != nil || response.StatusCode < http.StatusBadRequest {
		return response, err
	}
	defer response.Body.Close()
	var refusal agentError
	if err := json.NewDecoder(response.Body).Decode(&refusal); err != nil {
		return nil, fmt.Errorf("the agent answers HTTP %d", response.StatusCode)
	}
	return nil, &refusal
}

// Calls back for every event, until the agent ends the stream or is silent for too long. Always returns an error.
func (a *agent) events(ctx context.Context, on func(agentEvent)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stalled := time.AfterFunc(silence, cancel)
	defer stalled.Stop()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, a.base+"/v1/events", nil)
	if err != nil {
		return err
	}
	response, err := a.send(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, maxLineSize)
	for lines.Scan() {
		stalled.Reset(silence)
		var event agentEvent
		if err := json.Unmarshal(lines.Bytes(), &event); err != nil {
			return err
		}
		on(event)
	}
	return errors.Join(errors.New("the stream of events ended"), lines.Err())
}
