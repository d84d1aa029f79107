/** One document of the small set. */
export interface SmallDocument {
  readonly ref: string;
  readonly title: string;
  readonly text: string;
}

/** Twenty-five short texts as a company would give them to its assistant. */
export const DOCUMENTS: readonly SmallDocument[] = [
  {
    ref: "reset-password",
    title: "Resetting a password",
    text: "Choose “Forgot password” on the sign-in page. We send a link that works for thirty minutes. If no message arrives, look into the spam folder or ask your administrator.",
  },
  {
    ref: "two-factor",
    title: "Two-factor authentication",
    text: "Scan the code with an authenticator app and enter the six digits. Keep the recovery codes in a safe place: each opens your account once when the phone is lost.",
  },
  {
    ref: "invoices",
    title: "Invoices and receipts",
    text: "Every invoice is in Billing, as PDF, from the first day of the month. Change the billing address before the end of the month, since an invoice that was issued cannot be altered.",
  },
  {
    ref: "refunds",
    title: "Refund policy",
    text: "Annual plans are refunded within fourteen days of purchase. The money returns to the original card within five working days. Monthly plans are not refunded.",
  },
  {
    ref: "cancel",
    title: "Cancelling a subscription",
    text: "The owner cancels under Settings, Plan. The workspace stays usable until the end of the paid period and is then read only for ninety days.",
  },
  {
    ref: "shipping",
    title: "Shipping times",
    text: "Parcels leave the warehouse within one working day. Delivery within Germany takes two days, to other countries of the European Union three to six days.",
  },
  {
    ref: "returns",
    title: "Returning goods",
    text: "Print the return label in your order history and drop the parcel at any post office within thirty days. Opened hygiene articles are excluded.",
  },
  {
    ref: "warranty",
    title: "Warranty",
    text: "All devices carry a two-year warranty against defects of material and workmanship. Damage by water or a fall is not covered. Send the serial number and a photograph.",
  },
  {
    ref: "printer",
    title: "Printer is offline",
    text: "Restart the printer and check that it is on the same wireless network as the computer. Remove the device and add it again when the status stays offline.",
  },
  {
    ref: "vpn",
    title: "VPN connection drops",
    text: "Switch the tunnel from UDP to TCP in the client and update to the latest version. Hotel networks often block the default port 1194.",
  },
  {
    ref: "wifi",
    title: "Guest wireless network",
    text: "Visitors join the network “guest” with the password of the day, shown on the screen at reception. The guest network cannot reach internal servers.",
  },
  {
    ref: "holidays",
    title: "Annual leave",
    text: "Employees have twenty-eight days of paid leave per year. Ask your line manager at least two weeks ahead. Five unused days may be carried into the next year until March.",
  },
  {
    ref: "sick-leave",
    title: "Sick leave",
    text: "Tell your team before nine in the morning. A doctor’s certificate is needed from the fourth day of illness and goes to the personnel office.",
  },
  {
    ref: "expenses",
    title: "Travel expenses",
    text: "Submit receipts within sixty days in the expense tool. Train journeys are second class; taxis need a reason. The daily allowance abroad depends on the country.",
  },
  {
    ref: "parental",
    title: "Parental leave",
    text: "Parents announce the leave seven weeks ahead in writing. Up to three years per child are possible, of which twenty-four months can be taken later.",
  },
  {
    ref: "webhooks",
    title: "Webhooks",
    text: "We post each event as JSON to your endpoint and sign it with HMAC-SHA256. Answer with status 200 within ten seconds; otherwise we retry with growing pauses for three days.",
  },
  {
    ref: "rate-limits",
    title: "Rate limits of the API",
    text: "Each key may send 600 requests per minute. Beyond that the answer is 429 with a Retry-After header. Batches of up to one hundred items count as one request.",
  },
  {
    ref: "pagination",
    title: "Paging through lists",
    text: "Lists return up to one hundred items and a cursor. Pass the cursor to get the next page; it is valid for one hour. Sorting is by creation time.",
  },
  {
    ref: "export",
    title: "Exporting all data",
    text: "An administrator starts the export in Settings. The archive holds all projects as CSV and all attachments, and can be downloaded for seven days.",
  },
  {
    ref: "backup",
    title: "Backups and recovery",
    text: "Databases are copied every night to another region and kept for thirty-five days. A point in time within the last week can be restored on request.",
  },
  {
    ref: "sso",
    title: "Single sign-on with SAML",
    text: "Upload the metadata of your identity provider and map the e-mail attribute. Test with one user before you make single sign-on mandatory for everyone.",
  },
  {
    ref: "roles",
    title: "Roles and permissions",
    text: "Viewers read, editors change, administrators invite and remove people. A role is given per project; the owner of the workspace has all of them.",
  },
  {
    ref: "coffee",
    title: "Descaling the coffee machine",
    text: "Fill the tank with water and one dose of descaler, start the programme and rinse twice. The lamp stops blinking when the cycle is complete.",
  },
  {
    ref: "fire",
    title: "In case of fire",
    text: "Leave the building by the stairs, never by the lift, and meet at the car park. Fire wardens wear yellow vests and count the people of each floor.",
  },
  {
    ref: "parking",
    title: "Parking and bicycles",
    text: "The underground car park opens with the staff badge. Bicycles belong into the racks behind the canteen; charging of e-bikes is free.",
  },
];

/** Thirty questions and the document that answers each. About a third are misspelt; a few use other words than the document. */
export const QUESTIONS: readonly (readonly [query: string, ref: string])[] = [
  ["how do I reset my password", "reset-password"],
  ["forgoten pasword", "reset-password"],
  ["lost my phone with the authenticator app", "two-factor"],
  ["autenticator recovry codes", "two-factor"],
  ["where can I download an invoice as PDF", "invoices"],
  ["chnage billing adress", "invoices"],
  ["do I get my money back for the annual plan", "refunds"],
  ["refnd policy", "refunds"],
  ["I want to cancel my subscription", "cancel"],
  ["how long does delivery to Germany take", "shipping"],
  ["shiping time europe", "shipping"],
  ["send goods back, where is the return label", "returns"],
  ["is water damage covered by the warranty", "warranty"],
  ["waranty for defectiv device", "warranty"],
  ["printer shows offline", "printer"],
  ["vpn keeps dropping in the hotel", "vpn"],
  ["wifi password for visitors", "wifi"],
  ["how many vacation days do employees have", "holidays"],
  ["carry unused leave into next year", "holidays"],
  ["when do I need a doctor's certificate", "sick-leave"],
  ["sumbit taxi reciepts", "expenses"],
  ["leave after the birth of a child", "parental"],
  ["verify the signature of an event", "webhooks"],
  ["webhok retrys", "webhooks"],
  ["too many requests 429", "rate-limits"],
  ["get the next page with a curser", "pagination"],
  ["download all attachments as archive", "export"],
  ["restore the database to yesterday", "backup"],
  ["who can invite people to a project", "roles"],
  ["descale cofee machine", "coffee"],
];
